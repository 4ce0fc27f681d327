"""A torrent tracker that tells everybody about the same peers, given on its command line, and prints who announced what."""
import http.server, socket, struct, sys, urllib.parse
address, port, peer_port, peers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
compact = b"".join(socket.inet_aton(peer) + struct.pack("!H", peer_port) for peer in peers)
answer = b"d8:intervali30e12:min intervali5e5:peers%d:%se" % (len(compact), compact)


class Announce(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query, encoding="latin-1")
        left, event = (query.get(name, [""])[0] for name in ("left", "event"))
        print(f"{self.client_address[0]} left={left} event={event}", flush=True)
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer((address, port), Announce)
print("READY", flush=True)
server.serve_forever()
