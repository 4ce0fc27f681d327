"""Fetches a torrent over plain TCP into a folder, from the peers at these addresses. When it is complete and written it prints
DONE and leaves, or stays as a seeder until it is killed."""
import sys
from libtorrent_settings import session, torrent
path, folder, address, port, then, *peers = sys.argv[1:]
own = session(address, int(port))
handle = own.add_torrent(torrent(path, folder))
for peer in peers:
    handle.connect_peer((peer, int(port)))
while not handle.status().is_seeding:
    own.wait_for_alert(50)
    own.pop_alerts()
print("DONE", flush=True)
while then == "stay":
    own.wait_for_alert(1000)
    own.pop_alerts()
