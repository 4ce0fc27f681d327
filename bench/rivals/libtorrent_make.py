"""Writes a torrent of one file with 1 MiB pieces, of version 1 or 2, that names one tracker."""
import os, sys, libtorrent as lt
path, torrent, announce, version = sys.argv[1:5]
storage = lt.file_storage()
lt.add_files(storage, path)
flags = {"v1": lt.create_torrent.v1_only, "v2": lt.create_torrent.v2_only}[version]
made = lt.create_torrent(storage, 1 << 20, flags)
made.add_tracker(announce, 0)
lt.set_piece_hashes(made, os.path.dirname(path))
open(torrent, "wb").write(lt.bencode(made.generate()))
