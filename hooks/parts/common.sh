# agent-tracker-hook 1: the agent, where AGENT_TRACKER_AGENT or Claude Code says who it is.
AT_REGISTRY=''
at_as= at_marker= at_session=
case ${AGENT_TRACKER_AGENT-} in
'')
	if [ "$at_values" = "${AI_AGENT-}${CLAUDECODE-}${CLAUDE_CODE_SESSION_ID-}" ] && [ -n "${CLAUDECODE-}" ]; then
		at_x=$AT_REGISTRY/clients/claude
		case ${CLAUDE_CODE_SESSION_ID-} in
		'') ;;
		.* | *[!ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-]*) at_x= ;;
		*)
			if [ -f "${AT_REGISTRY%/*}/sessions/$CLAUDE_CODE_SESSION_ID" ]; then
				{ read -r at_session && read -r at_x; } <"${AT_REGISTRY%/*}/sessions/$CLAUDE_CODE_SESSION_ID" &&
					[ "$at_x" = "$CLAUDE_CODE_SESSION_ID" ] && [ -f "$AT_REGISTRY/ids/$at_session" ] && at_as=$at_session
				at_x=
			fi
			;;
		esac
		[ ! -f "$at_x" ] || at_marker=$at_x
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
