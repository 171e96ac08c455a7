// mgx_conn_poll_events: a connection without MG_EV_POLL still reads, writes, pipelines, drains and closes.
#include "peer.h"

#include "mongoose_ext.h"

static int s_polls, s_answers, s_closes;
static bool s_answers_at_read;
static struct mg_connection *s_server;

static void answer(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) s_server = c, mgx_conn_poll_events(c, false);
  if (ev == MG_EV_POLL && c->is_accepted) s_polls++;
  if (ev == MG_EV_CLOSE && c->is_accepted) s_closes++, s_server = NULL;
  if (ev == MG_EV_READ && c->is_resp && s_answers_at_read) {
    s_answers_at_read = false;
    mg_http_reply(c, 200, "", "read");
  }
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    s_answers++;
    if (!mg_match(hm->uri, mg_str("/late"), NULL)) mg_http_reply(c, 200, "", "%.*s", (int) hm->uri.len, hm->uri.buf);
  }
}

// A connection that the application links into the list itself has its turns, whether or not others are without MG_EV_POLL.
static int s_stranger_polls, s_stranger_closes;

static void unlinked_handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_POLL) s_stranger_polls++;
  if (ev == MG_EV_CLOSE) s_stranger_closes++;
  (void) c, (void) ev_data;
}

static void connections_created_by_the_application(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_connection *l = serve(&mgr, answer, NULL), *c;
  int i, polls;
  s_polls = s_closes = s_answers = s_stranger_polls = s_stranger_closes = 0;
  peer_open(&p, l);
  POLL_UNTIL(&mgr, s_server != NULL);
  poll_often(&mgr);
  c = mg_alloc_conn(&mgr);
  CHECK(c != NULL);
  c->fn = unlinked_handler;
  c->fd = (void *) (size_t) -1;
  c->next = mgr.conns;
  mgr.conns = c;
  POLL_UNTIL(&mgr, s_stranger_polls > 0);  // seen at last
  for (i = 0, polls = s_stranger_polls; i < 10; i++) mg_mgr_poll(&mgr, 30);
  CHECK_EQ(s_stranger_polls, polls + 10);
  peer_send_text(&p, "GET /a HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, s_answers == 1);
  CHECK_EQ(s_polls, 0);
  c->is_draining = 1;
  POLL_UNTIL(&mgr, s_stranger_closes == 1);
  for (i = 0; i < 10; i++) mg_mgr_poll(&mgr, 30);
  peer_send_text(&p, "GET /b HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, s_answers == 2);
  s_server->is_draining = 1;
  POLL_UNTIL(&mgr, s_closes == 1);
  CHECK_EQ(s_polls, 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_connection *l = serve(&mgr, answer, NULL);
  peer_open(&p, l);
  peer_send_text(&p, "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, s_answers == 2);

  // An answer that comes between two polls, with a request waiting behind it.
  peer_send_text(&p, "GET /late HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, s_answers == 3);
  CHECK(s_server != NULL && s_server->is_resp);
  mg_http_reply(s_server, 200, "", "late");
  POLL_UNTIL(&mgr, s_answers == 4);
  CHECK_EQ(s_polls, 0);

  // One that comes in another event of the connection.
  peer_send_text(&p, "GET /late HTTP/1.1\r\n\r\nGET /d HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, s_answers == 5);
  poll_often(&mgr);
  s_answers_at_read = true;
  peer_send_text(&p, "GET /e HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, s_answers == 7);
  CHECK_EQ(s_polls, 0);

  // On again, and off again.
  mgx_conn_poll_events(s_server, true);
  POLL_UNTIL(&mgr, s_polls == 1);
  mgx_conn_poll_events(s_server, false);
  poll_often(&mgr);
  CHECK_EQ(s_polls, 1);

  // A flag written without a word to the library is noticed soon.
  s_server->is_draining = 1;
  POLL_UNTIL(&mgr, s_closes == 1);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(peer_got(&p, "HTTP/1.1 200 OK\r\nContent-Length: 2          \r\n\r\n/a"
                     "HTTP/1.1 200 OK\r\nContent-Length: 2          \r\n\r\n/b"
                     "HTTP/1.1 200 OK\r\nContent-Length: 4          \r\n\r\nlate"
                     "HTTP/1.1 200 OK\r\nContent-Length: 2          \r\n\r\n/c"
                     "HTTP/1.1 200 OK\r\nContent-Length: 4          \r\n\r\nread"
                     "HTTP/1.1 200 OK\r\nContent-Length: 2          \r\n\r\n/d"
                     "HTTP/1.1 200 OK\r\nContent-Length: 2          \r\n\r\n/e"));
  peer_free(&p);

  // mgx_conn_close takes effect in the next poll.
  peer_open(&p, l);
  POLL_UNTIL(&mgr, s_server != NULL);
  poll_often(&mgr);
  mgx_conn_close(s_server);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(s_closes, 2);
  peer_free(&p);

  // A peer that goes away.
  peer_open(&p, l);
  POLL_UNTIL(&mgr, s_server != NULL);
  peer_free(&p);
  POLL_UNTIL(&mgr, s_closes == 3);
  CHECK_EQ(s_polls, 1);
  mg_mgr_free(&mgr);

  connections_created_by_the_application();
  return DONE();
}
