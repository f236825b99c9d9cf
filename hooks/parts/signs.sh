# agent-tracker-hook 1: what separates fields and lines.
at_t='	'
at_n='
'
