# agent-tracker-hook 1: the agent, where AGENT_TRACKER_AGENT or Claude Code says who it is.
AT_REGISTRY=''
at_as= at_marker=
case ${AGENT_TRACKER_AGENT-} in
'')
	if [ "$at_values" = "${AI_AGENT-}${CLAUDECODE-}${CLAUDE_CODE_SESSION_ID-}" ] && [ -n "${CLAUDECODE-}" ] &&
		[ -f "$AT_REGISTRY/clients/claude" ]; then
		at_marker=$AT_REGISTRY/clients/claude
	fi
	;;
human) at_as=human ;;
.* | *[!abcdefghijklmnopqrstuvwxyz0123456789._-]*) ;;
*)
	if [ -f "$AT_REGISTRY/ids/$AGENT_TRACKER_AGENT" ]; then
		at_as=$AGENT_TRACKER_AGENT
	elif [ -f "$AT_REGISTRY/names/$AGENT_TRACKER_AGENT" ]; then
		at_marker=$AT_REGISTRY/names/$AGENT_TRACKER_AGENT
	fi
	;;
esac
