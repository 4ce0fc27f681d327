#!/bin/sh
# aria2 runs this when a torrent is complete; it itself says so only when it ends, after seeding.
echo DONE
