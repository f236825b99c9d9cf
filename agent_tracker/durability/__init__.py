"""Keeping the store: known to be sound, copied, mended.

Knowing: `fingerprint` (was anybody else at the file?), `checking` (has a process of its own read it), `inspecting`
(what that one does), `migrations` (older layouts), `child` (processes of our own, which a damaged page may end).
Copies: `backups` (making them, taking a text out of them), `copying` (one that somebody waits for), `manifests` (what
is known of each), `thinning` (which stay).
Afterwards: `spawning` (starting the background process), `maintenance` (what it does).
Mending: `recovery` (the order of it), `unfinished` (one that was cut short), `salvage` (what is sound in a damaged
file), `reckoning` (what is gone).
Room: `capacity` (how full, and when that is said), `remedies` (what to do).
"""
