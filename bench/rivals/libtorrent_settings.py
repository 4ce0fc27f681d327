"""A libtorrent session over plain TCP only, for the scripts beside this one."""
import libtorrent as lt


def session(address, port):
    categories = lt.alert.category_t
    return lt.session({"listen_interfaces": f"{address}:{port}", "outgoing_interfaces": address, "enable_dht": False, "enable_lsd": False,
                       "enable_upnp": False, "enable_natpmp": False, "enable_outgoing_utp": False, "enable_incoming_utp": False,
                       "allow_multiple_connections_per_ip": True, "out_enc_policy": 2, "in_enc_policy": 2,
                       "alert_mask": categories.status_notification | categories.storage_notification})


def torrent(path, folder):
    params = lt.add_torrent_params()
    params.ti, params.save_path = lt.torrent_info(path), folder
    return params
