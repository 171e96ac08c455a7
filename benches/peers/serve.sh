#!/bin/sh
# A peer as one process, with the settings that make it do the same work as hello.c: no log, no limit on requests per connection.
# usage: benches/peers/serve.sh NAME PORT DIRECTORY     (an absolute path; it writes beside DIRECTORY)
set -eu
name=$1 port=$2 www=$3
dir=$(dirname "$www")/peers
mkdir -p "$dir"
conf=$dir/$name.conf
PATH=$PATH:/usr/sbin

case $name in
  nginx)
    cat > "$conf" <<CONF
daemon off;
master_process off;
pid $dir/nginx.pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
  uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
  client_max_body_size 0;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:$port backlog=1024;
    root $www;
    location = /hello { default_type text/plain; return 200 "Hello, World!\n"; }
  }
}
CONF
    exec nginx -p "$dir" -c "$conf" -e stderr ;;
  lighttpd)
    cat > "$conf" <<CONF
server.document-root = "$www"
server.bind = "127.0.0.1"
server.port = $port
server.max-keep-alive-requests = 65535
server.max-fds = 4096
server.listen-backlog = 1024
CONF
    exec lighttpd -D -f "$conf" ;;
  mosquitto)
    cat > "$conf" <<CONF
listener $port 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
log_type none
CONF
    exec mosquitto -c "$conf" ;;
  *) exec "$dir/$name" "$port" "$www" ;;
esac
