use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dns_message {
    pub txnid: u16,
    pub resolved: bool,
    pub addr: mg_addr,
    pub name: [c_char; 256],
}
layout!(mg_dns_message, 288, txnid @ 0, resolved @ 2, addr @ 8, name @ 32);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dns_header {
    pub txnid: u16,
    pub flags: u16,
    pub num_questions: u16,
    pub num_answers: u16,
    pub num_authority_prs: u16,
    pub num_other_prs: u16,
}
layout!(mg_dns_header, 12, txnid @ 0, flags @ 2, num_questions @ 4, num_answers @ 6, num_authority_prs @ 8, num_other_prs @ 10);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dns_rr {
    pub nlen: u16,
    pub atype: u16,
    pub aclass: u16,
    pub alen: u16,
}
layout!(mg_dns_rr, 8, nlen @ 0, atype @ 2, aclass @ 4, alen @ 6);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dnssd_record {
    pub srvcproto: mg_str,
    pub txt: mg_str,
    pub port: u16,
}
layout!(mg_dnssd_record, 40, srvcproto @ 0, txt @ 16, port @ 32);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mdns_req {
    pub rr: *mut mg_dns_rr,
    pub r: *mut mg_dnssd_record,
    pub reqname: mg_str,
    pub respname: mg_str,
    pub addr: *mut mg_addr,
    pub is_listing: bool,
    pub is_resp: bool,
    pub is_unicast: bool,
}
layout!(mg_mdns_req, 64, rr @ 0, r @ 8, reqname @ 16, respname @ 32, addr @ 48, is_listing @ 56, is_resp @ 57, is_unicast @ 58);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mdns_resp {
    pub rr: *mut mg_dns_rr,
    pub name: mg_str,
    pub addr: mg_addr,
    pub sd: mg_dnssd_record,
}
layout!(mg_mdns_resp, 88, rr @ 0, name @ 8, addr @ 24, sd @ 48);

