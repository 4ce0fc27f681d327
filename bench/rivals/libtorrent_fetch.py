"""Fetches a torrent from one seeder over plain TCP into a folder; ends when it is complete and written."""
import sys, libtorrent as lt
torrent, folder, address, seeder = sys.argv[1:5]
session = lt.session({"listen_interfaces": f"{address}:6882", "enable_dht": False, "enable_lsd": False, "enable_upnp": False,
                      "enable_natpmp": False, "enable_outgoing_utp": False, "enable_incoming_utp": False,
                      "allow_multiple_connections_per_ip": True, "out_enc_policy": 2, "in_enc_policy": 2,
                      "alert_mask": lt.alert.category_t.status_notification | lt.alert.category_t.storage_notification})
params = lt.add_torrent_params()
params.ti, params.save_path = lt.torrent_info(torrent), folder
handle = session.add_torrent(params)
handle.connect_peer((seeder, 6881))
while not handle.status().is_seeding:
    session.wait_for_alert(50)
    session.pop_alerts()
