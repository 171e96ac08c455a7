use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mqtt_prop {
    pub id: u8,
    pub iv: u32,
    pub key: mg_str,
    pub val: mg_str,
}
layout!(mg_mqtt_prop, 40, id @ 0, iv @ 4, key @ 8, val @ 24);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mqtt_opts {
    pub user: mg_str,
    pub pass: mg_str,
    pub client_id: mg_str,
    pub topic: mg_str,
    pub message: mg_str,
    pub qos: u8,
    pub version: u8,
    pub keepalive: u16,
    pub retransmit_id: u16,
    pub retain: bool,
    pub clean: bool,
    pub props: *mut mg_mqtt_prop,
    pub num_props: usize,
    pub will_props: *mut mg_mqtt_prop,
    pub num_will_props: usize,
}
layout!(mg_mqtt_opts, 120, user @ 0, pass @ 16, client_id @ 32, topic @ 48, message @ 64, qos @ 80, version @ 81, keepalive @ 82, retransmit_id @ 84, retain @ 86, clean @ 87, props @ 88, num_props @ 96, will_props @ 104, num_will_props @ 112);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mqtt_message {
    pub topic: mg_str,
    pub data: mg_str,
    pub dgram: mg_str,
    pub id: u16,
    pub cmd: u8,
    pub qos: u8,
    pub ack: u8,
    pub props_start: usize,
    pub props_size: usize,
}
layout!(mg_mqtt_message, 72, topic @ 0, data @ 16, dgram @ 32, id @ 48, cmd @ 50, qos @ 51, ack @ 52, props_start @ 56, props_size @ 64);

