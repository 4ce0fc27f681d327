#!/bin/sh
# transmission-cli runs this when a torrent is complete and written; it would go on seeding, and take seconds to say good-bye.
kill -9 "$PPID"
