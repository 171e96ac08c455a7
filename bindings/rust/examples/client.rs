//! One client of each kind. usage: client HTTP_URL HTTPS_URL CA WS_URL MQTT_URL
use libmongoose::{Connection, Event, Manager, MqttOptions, TlsOptions, WsMessage};
use std::{cell::Cell, rc::Rc, time::Duration};

fn watched(f: impl Fn(&Connection, Event)) -> impl Fn(&Connection, Event) {
    move |c, event| match event {
        Event::Error(text) => panic!("{c:?}: {text}"),
        event => f(c, event),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, http_url, https_url, ca, ws_url, mqtt_url] = &args[..] else {
        return Err("usage: client HTTP_URL HTTPS_URL CA WS_URL MQTT_URL".into());
    };
    let left = Rc::new(Cell::new(4));
    let done = {
        let left = left.clone();
        move |text: String| {
            println!("{text}");
            left.set(left.get() - 1);
        }
    };
    let http = |kind: &'static str| {
        let done = done.clone();
        watched(move |c, event| {
            if let Event::Http(answer) = event {
                done(format!("{kind} {} {}", answer.status, String::from_utf8_lossy(&answer.body)));
                c.close();
            }
        })
    };
    libmongoose::log_set(1);
    let manager = Manager::new()?;
    manager.http_connect(http_url, http("http"))?.request("GET", "/hello", &[], "");
    let secure = manager.http_connect(https_url, http("https"))?;
    secure.tls_init(&TlsOptions { ca: std::fs::read(ca)?, name: "localhost".into(), ..Default::default() });
    secure.request("GET", "/hello", &[], "");
    let ws_done = done.clone();
    manager.ws_connect(
        ws_url,
        &[],
        watched(move |c, event| match event {
            Event::WsOpen(_) => {
                c.ws_text("ping");
            }
            Event::Ws(WsMessage::Text(text)) => {
                ws_done(format!("ws {text}"));
                c.ws_close(1000, "");
            }
            _ => {}
        }),
    )?;
    let options = MqttOptions { client_id: "rust-binding".into(), ..Default::default() };
    manager.mqtt_connect(
        mqtt_url,
        &options,
        watched(move |c, event| match event {
            Event::MqttOpen(0) => {
                c.subscribe("bindings/test", 1);
                c.publish("bindings/test", "payload", 1, false);
            }
            Event::Mqtt { topic, payload, .. } => {
                done(format!("mqtt {topic} {}", String::from_utf8_lossy(&payload)));
                c.mqtt_disconnect();
            }
            _ => {}
        }),
    )?;
    manager.after(Duration::from_secs(20), |_| panic!("time is up"));
    while left.get() > 0 {
        manager.poll(Duration::from_secs(1));
    }
    Ok(())
}
