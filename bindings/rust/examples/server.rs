//! HTTP and HTTPS server with WebSocket. usage: server CERT KEY
use libmongoose::{Connection, Drain, Event, Manager, TlsOptions, WsMessage};
use std::time::Duration;

fn handler(c: &Connection, event: Event) {
    match event {
        Event::HttpHeaders(request) if request.uri == "/early" => c.reply(200, &[], [b"early", &request.body[..]].concat()),
        Event::Http(request) => match request.uri.as_str() {
            "/hello" => c.reply(200, &[], "hello"),
            "/echo" => {
                let seen = request.header("x-sent").unwrap_or("");
                c.reply(200, &[("X-Method", &request.method), ("X-Query", &request.query), ("X-Seen", seen)], &request.body);
            }
            "/ws" => {
                c.ws_upgrade(&[]);
            }
            "/slow" => {
                let c = c.clone();
                c.manager().after(Duration::from_millis(300), move |_| c.reply(200, &[], "slow"));
            }
            "/chunks" => {
                c.begin(200, &[]);
                c.chunk("one");
                c.chunk("two");
                c.end();
            }
            "/last" => {
                c.reply(200, &[], "last");
                c.drain(&Drain::default());
            }
            _ => c.reply(404, &[], "no such page"),
        },
        Event::Ws(WsMessage::Text(text)) => {
            c.ws_text(&text);
        }
        Event::Ws(WsMessage::Binary(bytes)) => {
            c.ws_binary(&bytes);
        }
        _ => {}
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, cert, key] = &args[..] else { return Err("usage: server CERT KEY".into()) };
    let tls = TlsOptions { cert: std::fs::read(cert)?, key: std::fs::read(key)?, ..Default::default() };
    libmongoose::log_set(1);
    let manager = Manager::new()?;
    let http = manager.http_listen("http://127.0.0.1:0", handler)?;
    let https = manager.http_listen("https://127.0.0.1:0", move |c, event| {
        if event == Event::Accept {
            c.tls_init(&tls);
        }
        handler(c, event);
    })?;
    manager.drain_on_signal(libmongoose::SIGTERM, &Default::default());
    println!("{} {}", http.local().ok_or("no address")?.port(), https.local().ok_or("no address")?.port());
    manager.run();
    Ok(())
}
