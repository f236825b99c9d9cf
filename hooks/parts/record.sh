# agent-tracker-hook 1: the commit that HEAD names, into the spool.
. "${0%/*}/parts/person.sh"
at_as=human at_use= at_used= at_marks= at_odd= at_bad= at_oid=
. "${0%/*}/parts/signs.sh"
if [ -n "$at_values" ] || [ -f "$at_git/agent-tracker/use" ]; then
	at_as= at_marker= at_odd=x at_x=${0%/*}/agent-tracker-rare.sh
	[ -z "${AGENT_TRACKER_AGENT-}${CLAUDECODE-}" ] || at_x=${0%/*}/agent-tracker-common.sh
	[ ! -r "$at_x" ] || . "$at_x"
fi
[ ! -d "$at_git/rebase-merge" ] && { [ ! -d "$at_git/rebase-apply" ] || [ -f "$at_git/rebase-apply/applying" ]; } ||
	at_flags=rebase
. "${0%/*}/parts/head.sh"
at_line=1${at_t}commit$at_t$at_oid$at_t$at_as$at_t$at_use$at_t$at_flags$at_marks
case $at_oid$at_odd in
*[!0123456789abcdef]*) at_oid= ;;
esac
case ${#at_oid} in
40 | 64)
	at_line="$at_n$at_line =${#at_line}$at_n"
	. "${0%/*}/parts/append.sh"
	if [ -z "$at_bad$at_used" ]; then
		. "${0%/*}/parts/leave.sh"
	fi
	at_odd=done
	;;
esac
at_need=words
[ ! -r "${0%/*}/agent-tracker.sh" ] || . "${0%/*}/agent-tracker.sh"
. "${0%/*}/parts/leave.sh"
