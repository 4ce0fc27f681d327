"""Seeds one file with libtorrent over plain TCP and prints READY; ends when its input ends."""
import sys, libtorrent as lt
torrent, folder, address = sys.argv[1:4]
session = lt.session({"listen_interfaces": f"{address}:6881", "enable_dht": False, "enable_lsd": False, "enable_upnp": False,
                      "enable_natpmp": False, "enable_outgoing_utp": False, "enable_incoming_utp": False,
                      "allow_multiple_connections_per_ip": True, "out_enc_policy": 2, "in_enc_policy": 2})
params = lt.add_torrent_params()
params.ti, params.save_path = lt.torrent_info(torrent), folder
params.flags |= lt.torrent_flags.seed_mode
handle = session.add_torrent(params)
print("READY", flush=True)
sys.stdin.read()
