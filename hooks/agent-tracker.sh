# agent-tracker-hook 1: what few commits need: odd places, `agent-tracker use`, Python, squashes, words.
AT_PYTHON=''
AT_PATH=''

# [1] Where the repository is, if it is neither a plain one nor a linked worktree as git makes them.
if [ "$at_need" = where ]; then
	at_join() {
		case $2 in
		/* | ?:[/\\]*) at_x=$2 ;;
		*) at_x=$1/$2 ;;
		esac
	}
	if [ -f "$at_git" ]; then
		IFS= read -r at_x <"$at_git" || :
		case $at_git in
		*/*) at_join "${at_git%/*}" "${at_x#gitdir: }" ;;
		*) at_join . "${at_x#gitdir: }" ;;
		esac
		at_git=$at_x
	fi
	at_top=${GIT_COMMON_DIR:-$at_git}
	if [ -z "${GIT_COMMON_DIR-}" ] && [ -f "$at_git/commondir" ]; then
		IFS= read -r at_x <"$at_git/commondir" || :
		at_join "$at_git" "$at_x"
		at_top=$at_x
	fi
	at_dir=$at_top/agent-tracker
	[ -d "$at_dir" ] && [ ! -h "$at_dir" ] || at_dir=
	return 0
fi

# [2] Is an agent in use?
if [ "$at_need" = use ]; then
	at_read_use() {
		for at_x in "$at_git/agent-tracker" "$at_git/agent-tracker/use" "$at_git/agent-tracker/now"; do
			[ ! -h "$at_x" ] || return
		done
		[ -f "$at_x" ] || [ ! -e "$at_x" ] || return
		printf '\n' 2>&- >|"$at_x" || return
		[ "$at_git/agent-tracker/use" -nt "$at_x" ] || return 0
		IFS= read -r at_use <"$at_git/agent-tracker/use"
		case $at_use in
		'' | .* | *[!abcdefghijklmnopqrstuvwxyz0123456789._-]*) at_use= && return 1 ;;
		esac
		[ ${#at_use} -le 255 ] || { at_use= && return 1; }
	}
	at_use=
	[ -f "$at_git/agent-tracker/use" ] && at_read_use || return 0
	case ${AGENT_TRACKER_AGENT-}$at_clients${AI_AGENT-}:$at_use in
	:) at_as=human ;;
	:*)
		if [ -f "$AT_REGISTRY/ids/$at_use" ]; then
			at_as=$at_use
			{ read -r at_used && read -r at_used; } <"$AT_REGISTRY/ids/$at_use" || at_used=$at_use
		fi
		;;
	esac
	return 0
fi

# [3] Python, squashes and words.
. "${0%/*}/parts/signs.sh"
at_say() {
	printf 'agent-tracker: %s\n' "$1" >&2
}
at_python() {
	at_x=$AT_PATH:
	while [ -n "$at_x" ] && [ ! -f "${at_x%%:*}/agent_tracker/hook.py" ]; do
		at_x=${at_x#*:}
	done
	if [ -z "$at_x" ] || [ ! -f "$AT_PYTHON" ] || [ ! -x "$AT_PYTHON" ]; then
		at_say 'its Python part is gone, git goes on; to mend it: agent-tracker install-hooks'
		return 1
	fi
	at_x=0
	{
		(exec "$AT_PYTHON" -ISc '
import sys
sys.path += filter(None, sys.argv[1].split(":"))
try:
    from agent_tracker.hook import main
except Exception as error:
    sys.exit("agent-tracker: cannot start, git goes on: %r; to mend it: agent-tracker install-hooks" % error)
sys.exit(main(sys.argv[2:]))
' "$AT_PATH" "$at_event" "$at_git" 2>&3 3>&-)
		at_x=$?
	} 3>&2 2>/dev/null </dev/null
	[ "$at_x" -lt 126 ] || at_say "its Python part ended with code $at_x, git goes on"
	[ "$at_x" = 42 ]
}
at_is_policy_off() {
	case ${AGENT_TRACKER_POLICY-} in
	off) return 0 ;;
	?*) return 1 ;;
	esac
	for at_x in "$at_dir/policy" "${AT_REGISTRY:-$at_dir}/policy"; do
		if [ -f "$at_x" ]; then
			IFS=' ' read -r at_x <"$at_x"
			[ "$at_x" = off ]
			return
		fi
	done
	return 1
}
at_read_squash() {
	at_line= at_rows=0 at_oids=0
	[ -f "$1" ] && [ -r "$1" ] && [ ! -h "$1" ] || return 0
	while [ "$at_rows" -lt 20000 ] && [ "$at_oids" -lt 1000 ] && IFS= read -r at_row; do
		at_rows=$((at_rows + 1))
		case $at_row in
		commit\ *) at_x=${at_row#commit } ;;
		*) continue ;;
		esac
		at_x=${at_x%% *}
		case ${#at_x}:$at_x in
		*:*[!0123456789abcdef]*) ;;
		40:* | 64:*)
			at_oids=$((at_oids + 1)) at_line=$at_line$at_t$at_x
			[ "${#at_line}" -lt 3300 ] || at_write_squash
			;;
		esac
	done <"$1"
	at_write_squash
}
at_write_squash() {
	if [ -n "$at_line" ] && [ -z "$at_bad" ]; then
		at_line=1${at_t}squash$at_line
		at_line="$at_n$at_line =${#at_line}$at_n"
		. "${0%/*}/parts/append.sh"
	fi
	at_line=
}
case $at_event:$at_need in
*:squash) at_read_squash "$at_git/SQUASH_MSG" ;;
post-rewrite:*) ;;
post-*)
	if [ "$at_odd$at_bad" = done ]; then
		case $at_used in
		*[[:cntrl:]]*) at_used=$at_use ;;
		esac
		[ -n "${at_flags#am}" ] || at_say "credited to $at_used (agent-tracker use)"
	elif [ -z "$at_bad" ]; then
		at_python || :
	fi
	;;
pre-push:*) at_python || : ;;
*) at_is_policy_off || ! at_python || exit 1 ;;
esac
case $at_bad in
kind) at_say 'agent-tracker/spool in the git directory is not a regular file: nothing was recorded' ;;
write) at_say 'cannot write agent-tracker/spool in the git directory: nothing was recorded' ;;
esac
return 0

# Notes. A commit pays for each byte that its shell reads as a program, for each file that it opens, and for each byte
# that it reads from one (dash reads them one by one). So nothing is parsed on a path that does not need it:
#
#   hooks/<event>            what nearly every commit needs. `install-hooks` pastes the parts in.
#   hooks/parts/             what several of these files need, in one piece; never installed as files.
#   agent-tracker-common.sh  what records, where AGENT_TRACKER_AGENT or Claude Code says who commits
#   agent-tracker-rare.sh    what records, whatever else is in the environment
#   agent-tracker.sh         this file: whatever nobody has to wait for often
#
# Each of the three may be missing: then git goes on, and the hook that was here before us runs all the same.
# Up to [3] no process is started. Nothing read from a file or a variable is ever evaluated. Characters are spelt out,
# not given as ranges or classes, and lines are plain ASCII (whatever is not goes to Python): then neither a match nor
# a length depends on the locale, and LC_ALL need not be touched. Variables are set before they are read, and what may
# fail stands where failing ends nothing, because a shell may have inherited nounset and errexit.
#
# at_git is this worktree's git directory, at_top the common one, at_dir ours. A symbolic link is not ours.
# at_need: what a hook wants of this file: where, use, or what stands at its end (python, squash, words).
# at_flags: how the commit came about, where a hook knows. post-merge runs after a fast-forward too, and a rebase makes
#     commits anew: there nobody is told whom `use` credits, for it may be nobody.
# at_values: every identity variable. Where they equal some of them put together, the others are empty.
# at_as: the agent, `human`, or empty where Python must decide. at_marker: the file that names the agent. In the
#     registry only active agents have one: by id, by name, and by client where it is the only one. Its first line is
#     the id, its second the name. Pre-commit need not read it. A file system that folds case finds a marker by another
#     spelling too: so `ids`, `names` and `clients` are searched for keys without capitals and hold no others; a name
#     that has some stands in `mixed`, and what is found there is compared.
# at_clients: the clients that announce themselves; OPENCODE and CRUSH count where they are exactly 1.
# at_marks: the identity variables as fields of the line. at_odd: it is not for the shell to record the commit; `done`:
#     it did. What it cannot: odd or long values, a ref that is packed or in a reftable.
# at_use: the agent in a `use` file that has not expired. The file is modified at the time when it expires, and one
#     written now is the clock. at_used: the agent's name, where `use` decided.
# at_bad: why the spool could not be written. dash appends whole lines in one write, bash each line in one.
# at_python hands the event over. True where Python refuses a commit: by code 42 and by no other. By way of descriptor 3
#     Python keeps its stderr, while the shell's own words on a killed child go unheard.
# at_read_squash reads what `merge --squash` left: a line `commit <oid>` for each commit, its message indented. However
#     long it is, 20,000 lines are read and 1,000 oids noted, 3.4 kB at a time.
# at_kept, in post-rewrite: the hook that was here before. For it alone stdin is kept as it came, which can be read only
#     once. 32 lines of SHA-1 oids, 3.4 kB, are appended at a time.
