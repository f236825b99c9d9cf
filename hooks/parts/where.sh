# agent-tracker-hook 1: where the repository is.
. "${0%/*}/parts/kept.sh"
at_git=${GIT_DIR:-.git}
at_top=${GIT_COMMON_DIR:-$at_git}
case ${at_git%/*} in
*/worktrees) [ ! -f "$at_git/commondir" ] || at_top=${GIT_COMMON_DIR:-${at_git%/*/*}} ;;
esac
at_dir=$at_top/agent-tracker
if [ ! -f "$at_dir/project" ] || [ -h "$at_dir" ]; then
	at_dir= at_need=where
	[ ! -r "${0%/*}/agent-tracker.sh" ] || . "${0%/*}/agent-tracker.sh"
	if [ -z "$at_dir" ]; then
		. "${0%/*}/parts/leave.sh"
	fi
fi
