"""Seeds one file with libtorrent over plain TCP until it is killed."""
import sys, libtorrent as lt
from libtorrent_settings import session, torrent
path, folder, address, port = sys.argv[1:5]
own = session(address, int(port))
params = torrent(path, folder)
params.flags |= lt.torrent_flags.seed_mode
handle = own.add_torrent(params)
while True:
    own.wait_for_alert(1000)
    own.pop_alerts()
