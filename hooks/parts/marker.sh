# agent-tracker-hook 1: the agent's id, from the marker that was found.
if [ -n "$at_marker" ]; then
	read -r at_as <"$at_marker" || :
	case $at_as in
	*[!abcdefghijklmnopqrstuvwxyz0123456789._-]*) at_as= ;;
	esac
fi
