# agent-tracker-hook 1: on to the hook that was here before, unless it is the one that runs this one as `.legacy`.
at_leave() {
	at_kept=${0%/*}/$at_event.agent-tracker-kept
	[ -x "$at_kept" ] || exit 0
	. "${0%/*}/parts/guard.sh"
	exec "$at_kept" "$@"
}
