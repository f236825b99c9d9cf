# agent-tracker-hook 1: on to the hook that was here before.
at_leave "$@"
