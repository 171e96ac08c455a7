use super::*;

/// A parsed DNS message.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dns_message {
    /// Transaction id.
    pub txnid: u16,
    /// `addr` holds an address.
    pub resolved: bool,
    /// The first address found.
    pub addr: mg_addr,
    /// The name, with dots.
    pub name: [c_char; 256],
}
layout!(mg_dns_message, 288, txnid @ 0, resolved @ 2, addr @ 8, name @ 32);

/// Header of a DNS message on the wire; network byte order.
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

/// A DNS question or record.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dns_rr {
    /// Length of the encoded name.
    pub nlen: u16,
    /// MG_DNS_RTYPE_* value.
    pub atype: u16,
    /// Class.
    pub aclass: u16,
    /// Length of the data.
    pub alen: u16,
}
layout!(mg_dns_rr, 8, nlen @ 0, atype @ 2, aclass @ 4, alen @ 6);

/// A DNS-SD service.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dnssd_record {
    /// Service and protocol, for example `_http._tcp`.
    pub srvcproto: mg_str,
    /// TXT record data as on the wire.
    pub txt: mg_str,
    /// Port, host byte order.
    pub port: u16,
}
layout!(mg_dnssd_record, 40, srvcproto @ 0, txt @ 16, port @ 32);

/// An mDNS query, with MG_EV_MDNS_REQ. The handler answers by filling it in.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mdns_req {
    /// The question.
    pub rr: *mut mg_dns_rr,
    /// Set by the handler: the service to answer with.
    pub r: *mut mg_dnssd_record,
    /// Name asked for, without `.local`.
    pub reqname: mg_str,
    /// Set by the handler: host name to answer with instead of the listener's.
    pub respname: mg_str,
    /// Set by the handler: IPv4 address to answer with.
    pub addr: *mut mg_addr,
    /// The query asks for the list of services.
    pub is_listing: bool,
    /// Set by the handler: answer this query.
    pub is_resp: bool,
    /// The querier wants the answer for itself.
    pub is_unicast: bool,
}
layout!(mg_mdns_req, 64, rr @ 0, r @ 8, reqname @ 16, respname @ 32, addr @ 48, is_listing @ 56, is_resp @ 57, is_unicast @ 58);

/// An mDNS answer, with MG_EV_MDNS_RESP; valid during the handler call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mdns_resp {
    /// The first record.
    pub rr: *mut mg_dns_rr,
    /// Host or instance name.
    pub name: mg_str,
    /// Address and port as far as known.
    pub addr: mg_addr,
    /// Service as far as known.
    pub sd: mg_dnssd_record,
}
layout!(mg_mdns_resp, 88, rr @ 0, name @ 8, addr @ 24, sd @ 48);
