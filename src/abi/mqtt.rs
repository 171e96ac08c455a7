use super::*;

/// An MQTT 5 property.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mqtt_prop {
    /// MQTT_PROP_* value.
    pub id: u8,
    /// Value of a numeric property.
    pub iv: u32,
    /// First string of a string pair.
    pub key: mg_str,
    /// Value of a string or binary property; second string of a string pair.
    pub val: mg_str,
}
layout!(mg_mqtt_prop, 40, id @ 0, iv @ 4, key @ 8, val @ 24);

/// Parameters of an MQTT packet. Zero-initialise; a zero member means its default. The library keeps no pointers to it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mqtt_opts {
    /// CONNECT: user name.
    pub user: mg_str,
    /// CONNECT: password.
    pub pass: mg_str,
    /// CONNECT: client id; empty for a random one.
    pub client_id: mg_str,
    /// PUBLISH, SUBSCRIBE, UNSUBSCRIBE: topic. CONNECT: topic of the will.
    pub topic: mg_str,
    /// PUBLISH: payload. CONNECT: payload of the will.
    pub message: mg_str,
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// CONNECT: protocol level, 4 for MQTT 3.1.1 or 5 for MQTT 5; 0 means 4.
    pub version: u8,
    /// CONNECT: keep-alive interval in seconds; 0 disables it. mg_mqtt_connect sends the pings.
    pub keepalive: u16,
    /// PUBLISH: packet id of a message to retransmit; 0 assigns a new id.
    pub retransmit_id: u16,
    /// PUBLISH: retain flag. CONNECT: retain flag of the will.
    pub retain: bool,
    /// CONNECT: start a clean session.
    pub clean: bool,
    /// MQTT 5 properties of the packet.
    pub props: *mut mg_mqtt_prop,
    /// Number of elements in `props`.
    pub num_props: usize,
    /// MQTT 5 properties of the will.
    pub will_props: *mut mg_mqtt_prop,
    /// Number of elements in `will_props`.
    pub num_will_props: usize,
}
layout!(mg_mqtt_opts, 120, user @ 0, pass @ 16, client_id @ 32, topic @ 48, message @ 64, qos @ 80, version @ 81, keepalive @ 82, retransmit_id @ 84, retain @ 86, clean @ 87, props @ 88, num_props @ 96, will_props @ 104, num_will_props @ 112);

/// A parsed MQTT packet. All strings point into the buffer that was parsed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mqtt_message {
    /// Topic of a PUBLISH packet.
    pub topic: mg_str,
    /// Payload of a PUBLISH packet.
    pub data: mg_str,
    /// The whole packet.
    pub dgram: mg_str,
    /// Packet id; 0 if the packet has none.
    pub id: u16,
    /// Packet type, an MQTT_CMD_* value.
    pub cmd: u8,
    /// Quality of service bits of the first byte.
    pub qos: u8,
    /// Return code of a CONNACK packet; 0 means success.
    pub ack: u8,
    /// Offset of the MQTT 5 properties in `dgram`.
    pub props_start: usize,
    /// Size of the MQTT 5 properties in bytes.
    pub props_size: usize,
}
layout!(mg_mqtt_message, 72, topic @ 0, data @ 16, dgram @ 32, id @ 48, cmd @ 50, qos @ 51, ack @ 52, props_start @ 56, props_size @ 64);
