use super::*;

/// A parsed DNS message.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dns_message {
    /// Transaction id.
    pub txnid: u16,
    /// True if `addr` is set.
    pub resolved: bool,
    /// First address in the response.
    pub addr: mg_addr,
    /// Host name in dotted form.
    pub name: [c_char; 256],
}
layout!(mg_dns_message, 288, txnid @ 0, resolved @ 2, addr @ 8, name @ 32);

/// DNS message header on the wire, in network byte order.
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

/// A DNS question or resource record.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dns_rr {
    /// Length of the encoded name, in bytes.
    pub nlen: u16,
    /// Record type, an MG_DNS_RTYPE_* value.
    pub atype: u16,
    /// Record class.
    pub aclass: u16,
    /// Length of the record data, in bytes.
    pub alen: u16,
}
layout!(mg_dns_rr, 8, nlen @ 0, atype @ 2, aclass @ 4, alen @ 6);

/// A DNS-SD service.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dnssd_record {
    /// Service and protocol, for example `_http._tcp`.
    pub srvcproto: mg_str,
    /// TXT record data in wire format.
    pub txt: mg_str,
    /// Port, host byte order.
    pub port: u16,
}
layout!(mg_dnssd_record, 40, srvcproto @ 0, txt @ 16, port @ 32);

/// An mDNS query, passed with MG_EV_MDNS_REQ. The handler fills it in to respond.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mdns_req {
    /// The question.
    pub rr: *mut mg_dns_rr,
    /// Set by the handler: service to respond with.
    pub r: *mut mg_dnssd_record,
    /// Requested name, without `.local`.
    pub reqname: mg_str,
    /// Set by the handler: host name to respond with, instead of the listener's.
    pub respname: mg_str,
    /// Set by the handler: IPv4 address to respond with.
    pub addr: *mut mg_addr,
    /// True if the query asks for the list of services.
    pub is_listing: bool,
    /// Set by the handler: send a response.
    pub is_resp: bool,
    /// True if the sender asks for a unicast response.
    pub is_unicast: bool,
}
layout!(mg_mdns_req, 64, rr @ 0, r @ 8, reqname @ 16, respname @ 32, addr @ 48, is_listing @ 56, is_resp @ 57, is_unicast @ 58);

/// An mDNS response, passed with MG_EV_MDNS_RESP. Valid during the handler call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mdns_resp {
    /// First resource record.
    pub rr: *mut mg_dns_rr,
    /// Host name or service instance name.
    pub name: mg_str,
    /// Address and port, as far as the response contains them.
    pub addr: mg_addr,
    /// Service, as far as the response contains it.
    pub sd: mg_dnssd_record,
}
layout!(mg_mdns_resp, 88, rr @ 0, name @ 8, addr @ 24, sd @ 48);
