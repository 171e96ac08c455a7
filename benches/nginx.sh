#!/bin/sh
# nginx as one process that serves files over TLS, with its defaults for everything else but the log.
# usage: benches/nginx.sh PORT CERTIFICATE KEY DIRECTORY   (absolute paths; it writes beside DIRECTORY)
set -eu
dir=$(dirname "$4")/nginx
mkdir -p "$dir"
cat > "$dir/nginx.conf" <<END
daemon off;
master_process off;
pid $dir/pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/fastcgi;
  uwsgi_temp_path $dir/uwsgi; scgi_temp_path $dir/scgi;
  sendfile on;
  keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:$1 ssl;
    ssl_certificate $2;
    ssl_certificate_key $3;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:s:10m;
    root $4;
  }
}
END
exec nginx -p "$dir" -c "$dir/nginx.conf" -e stderr
