"""Writes a version 1 torrent of one file with 1 MiB pieces."""
import os, sys, libtorrent as lt
path, torrent = sys.argv[1:3]
storage = lt.file_storage()
lt.add_files(storage, path)
made = lt.create_torrent(storage, 1 << 20, lt.create_torrent.v1_only)
lt.set_piece_hashes(made, os.path.dirname(path))
open(torrent, "wb").write(lt.bencode(made.generate()))
