use super::*;

/// An MQTT 5 property.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mqtt_prop {
    /// MQTT_PROP_* value.
    pub id: u8,
    /// Value of numeric properties.
    pub iv: u32,
    /// First text of a string pair.
    pub key: mg_str,
    /// Value of strings and binary data; second text of a string pair.
    pub val: mg_str,
}
layout!(mg_mqtt_prop, 40, id @ 0, iv @ 4, key @ 8, val @ 24);

/// What to send in an MQTT packet. Members left zero take their default; nothing is kept after the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mqtt_opts {
    /// Login: user name.
    pub user: mg_str,
    /// Login: password.
    pub pass: mg_str,
    /// Login: client id; empty for a random one.
    pub client_id: mg_str,
    /// Topic to publish to or subscribe to; topic of the will in a login.
    pub topic: mg_str,
    /// Message to publish; message of the will in a login.
    pub message: mg_str,
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// Login: protocol level, 4 (3.1.1, also for 0) or 5.
    pub version: u8,
    /// Login: seconds; announced only, the application sends the pings.
    pub keepalive: u16,
    /// Publish: send again under this packet id.
    pub retransmit_id: u16,
    /// The broker keeps the message.
    pub retain: bool,
    /// Login: start a clean session.
    pub clean: bool,
    /// MQTT 5 properties of the packet.
    pub props: *mut mg_mqtt_prop,
    pub num_props: usize,
    /// MQTT 5 properties of the will.
    pub will_props: *mut mg_mqtt_prop,
    pub num_will_props: usize,
}
layout!(mg_mqtt_opts, 120, user @ 0, pass @ 16, client_id @ 32, topic @ 48, message @ 64, qos @ 80, version @ 81, keepalive @ 82, retransmit_id @ 84, retain @ 86, clean @ 87, props @ 88, num_props @ 96, will_props @ 104, num_will_props @ 112);

/// A parsed MQTT packet. The strings point into the buffer that was parsed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mqtt_message {
    /// Of a PUBLISH packet.
    pub topic: mg_str,
    /// Its payload.
    pub data: mg_str,
    /// The whole packet.
    pub dgram: mg_str,
    /// Packet id; 0 when the packet has none.
    pub id: u16,
    /// MQTT_CMD_* value.
    pub cmd: u8,
    /// Quality of service bits of the first byte.
    pub qos: u8,
    /// Code of a CONNACK: 0 is success.
    pub ack: u8,
    /// Where the MQTT 5 properties begin, from the start of `dgram`.
    pub props_start: usize,
    /// Their size in bytes.
    pub props_size: usize,
}
layout!(mg_mqtt_message, 72, topic @ 0, data @ 16, dgram @ 32, id @ 48, cmd @ 50, qos @ 51, ack @ 52, props_start @ 56, props_size @ 64);
