// What is kept over a restart, in an SQLite database: sessions that outlive their connection, with their subscriptions, the
// messages that wait for them and the QoS 2 messages that they have not released; and retained messages. Wills are not kept.
//
// Changes are collected and committed before the acknowledgement that tells of them leaves: see store_commit().
//
// Without -DWITH_SQLITE nothing is kept.

#ifndef MQTT_SERVER_STORE_H
#define MQTT_SERVER_STORE_H

#include "session.h"

#ifdef WITH_SQLITE

#include <sqlite3.h>
#include <sys/time.h>

enum {
  BEGIN, COMMIT, PUT_SESSION, SET_SESSION, DEL_SESSION, PUT_SUB, DEL_SUB, PUT_MESSAGE, DEL_MESSAGE, PUT_QUEUED, SET_QUEUED, DEL_QUEUED,
  PUT_HELD, DEL_HELD, PUT_RETAINED, DEL_RETAINED, NUM_STATEMENTS
};

static const char *s_statements[NUM_STATEMENTS] = {
    "BEGIN",
    "COMMIT",
    "INSERT INTO session VALUES (NULL, ?, ?, ?)",
    "UPDATE session SET expiry = ?, ends = ? WHERE row = ?",
    "DELETE FROM session WHERE row = ?",
    "INSERT OR REPLACE INTO subscription VALUES (?, ?, ?, ?)",
    "DELETE FROM subscription WHERE session = ? AND filter = ?",
    "INSERT INTO message VALUES (NULL, ?, ?, ?, ?, ?)",
    "DELETE FROM message WHERE row = ?1 AND NOT EXISTS (SELECT 1 FROM queued WHERE message = ?1)"
    " AND NOT EXISTS (SELECT 1 FROM retained WHERE message = ?1)",
    "INSERT INTO queued VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
    "UPDATE queued SET id = ?, state = ? WHERE row = ?",
    "DELETE FROM queued WHERE row = ?",
    "INSERT OR IGNORE INTO held VALUES (?, ?)",
    "DELETE FROM held WHERE session = ? AND id = ?",
    "INSERT OR REPLACE INTO retained VALUES (?)",
    "DELETE FROM retained WHERE message = ?",
};

// Times in the database are in milliseconds since 1970.
static const char s_schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
    "CREATE TABLE IF NOT EXISTS session (row INTEGER PRIMARY KEY, id BLOB UNIQUE, expiry INTEGER, ends INTEGER);"
    "CREATE TABLE IF NOT EXISTS subscription (session INTEGER REFERENCES session ON DELETE CASCADE, filter BLOB, options INTEGER,"
    " id INTEGER, PRIMARY KEY (session, filter));"
    "CREATE TABLE IF NOT EXISTS message (row INTEGER PRIMARY KEY, topic BLOB, data BLOB, props BLOB, qos INTEGER, expires INTEGER);"
    "CREATE TABLE IF NOT EXISTS queued (row INTEGER PRIMARY KEY, session INTEGER REFERENCES session ON DELETE CASCADE,"
    " message INTEGER, id INTEGER, qos INTEGER, state INTEGER, retain INTEGER, ids BLOB);"
    "CREATE INDEX IF NOT EXISTS queued_session ON queued (session);"
    "CREATE INDEX IF NOT EXISTS queued_message ON queued (message);"
    "CREATE TABLE IF NOT EXISTS held (session INTEGER REFERENCES session ON DELETE CASCADE, id INTEGER, PRIMARY KEY (session, id));"
    "CREATE TABLE IF NOT EXISTS retained (message INTEGER PRIMARY KEY);"
    "DELETE FROM message WHERE row NOT IN (SELECT message FROM queued UNION SELECT message FROM retained);";

static sqlite3 *s_db;
static sqlite3_stmt *s_prepared[NUM_STATEMENTS];
static bool s_changing;  // a transaction is open

static void store_failed(void) {
  // Publishers rely on acknowledged messages being stored.
  fprintf(stderr, "database: %s\n", sqlite3_errmsg(s_db));
  exit(1);
}

// Runs a statement. The format has a letter for each value: n for int64_t, b for struct mg_str.
static void store_run(int which, const char *format, ...) {
  sqlite3_stmt *statement = s_prepared[which];
  va_list ap;
  int i;
  va_start(ap, format);
  for (i = 0; format[i] != '\0'; i++) {
    if (format[i] == 'n') {
      sqlite3_bind_int64(statement, i + 1, va_arg(ap, int64_t));
    } else {
      struct mg_str s = va_arg(ap, struct mg_str);
      sqlite3_bind_blob(statement, i + 1, s.len == 0 ? "" : s.buf, (int) s.len, SQLITE_STATIC);
    }
  }
  va_end(ap);
  if (sqlite3_step(statement) != SQLITE_DONE) store_failed();
  sqlite3_reset(statement);
}

static bool store_begin(void) {
  if (s_db != NULL && !s_changing) {
    s_changing = true;
    store_run(BEGIN, "");
  }
  return s_db != NULL;
}

// Commits the changes since the last call.
static void store_commit(void) {
  if (s_changing) {
    s_changing = false;
    store_run(COMMIT, "");
  }
}

static int64_t wall_clock(void) {
  struct timeval t;
  gettimeofday(&t, NULL);
  return (int64_t) t.tv_sec * 1000 + t.tv_usec / 1000;
}

static int64_t to_store(uint64_t at) {
  return at == NEVER ? INT64_MAX : (int64_t) (at - mg_millis()) + wall_clock();
}

static uint64_t from_store(int64_t at) {
  int64_t left = at - wall_clock();
  return at == INT64_MAX ? NEVER : mg_millis() + (uint64_t) (left > 0 ? left : 0);
}

// Sessions that end with their connection are not stored.
static void store_session(struct session *s) {
  if ((s->expiry == 0 && s->row == 0) || !store_begin()) return;
  if (s->row == 0) {
    store_run(PUT_SESSION, "bnn", s->id, (int64_t) s->expiry, to_store(s->ends));
    s->row = sqlite3_last_insert_rowid(s_db);
  } else {
    store_run(SET_SESSION, "nnn", (int64_t) s->expiry, to_store(s->ends), s->row);
  }
}

static void store_forget_session(struct session *s) {
  if (s->row != 0 && store_begin()) store_run(DEL_SESSION, "n", s->row);
  s->row = 0;
}

static void store_subscription(struct session *s, const struct subscription *sub) {
  if (s->row != 0 && store_begin()) {
    store_run(PUT_SUB, "nbnn", s->row, sub->filter, (int64_t) sub->options, (int64_t) sub->id);
  }
}

static void store_forget_subscription(struct session *s, const struct subscription *sub) {
  if (s->row != 0 && store_begin()) store_run(DEL_SUB, "nb", s->row, sub->filter);
}

static void store_message(struct message *m) {
  if (m->row != 0) return;
  store_run(PUT_MESSAGE, "bbbnn", m->topic, m->data, m->props, (int64_t) m->qos, to_store(m->expires));
  m->row = sqlite3_last_insert_rowid(s_db);
}

static void store_forget_message(struct message *m) {
  if (m->row != 0 && store_begin()) store_run(DEL_MESSAGE, "n", m->row);
}

static void store_queued(struct session *s, struct queued *q) {
  if (s->row == 0 || !store_begin()) return;
  if (q->row != 0) {
    store_run(SET_QUEUED, "nnn", (int64_t) q->id, (int64_t) q->state, q->row);
  } else {
    store_message(q->m);
    store_run(PUT_QUEUED, "nnnnnnb", s->row, q->m->row, (int64_t) q->id, (int64_t) q->qos, (int64_t) q->state, (int64_t) q->retain,
              mg_str_n((char *) q->ids, q->num_ids * sizeof(*q->ids)));
    q->row = sqlite3_last_insert_rowid(s_db);
  }
}

static void store_forget_queued(struct queued *q) {
  if (q->row != 0 && store_begin()) store_run(DEL_QUEUED, "n", q->row);
}

static void store_held(struct session *s, uint16_t id, bool held) {
  if (s->row != 0 && store_begin()) store_run(held ? PUT_HELD : DEL_HELD, "nn", s->row, (int64_t) id);
}

static void store_retained(struct message *m) {
  if (!store_begin()) return;
  store_message(m);
  store_run(PUT_RETAINED, "n", m->row);
}

static void store_forget_retained(struct message *m) {
  if (m->row != 0 && store_begin()) store_run(DEL_RETAINED, "n", m->row);
}

// ---- loading

static struct mg_str column(sqlite3_stmt *row, int i) {
  const char *data = (const char *) sqlite3_column_blob(row, i);
  return mg_str_n((char *) data, (size_t) sqlite3_column_bytes(row, i));
}

static struct session *session_of_row(int64_t row) {
  struct session *s = s_sessions;
  while (s != NULL && s->row != row) s = s->next;
  return s;
}

static void load_session(sqlite3_stmt *row) {
  struct session *s = session_new(column(row, 1));
  if (s == NULL) return;
  s->row = sqlite3_column_int64(row, 0);
  s->expiry = (uint32_t) sqlite3_column_int64(row, 2);
  s->heard = mg_millis();
  // Clients connected at the shutdown count as disconnected now.
  s->ends = from_store(sqlite3_column_int64(row, 3));
  if (s->ends == NEVER && s->expiry != UINT32_MAX) s->ends = s->heard + s->expiry * 1000ULL;
}

static void load_subscription(sqlite3_stmt *row) {
  struct session *s = session_of_row(sqlite3_column_int64(row, 0));
  struct subscription *sub;
  if (s == NULL || s->num_subs == MAX_SUBS) return;
  sub = &s->subs[s->num_subs++];
  sub->filter = mg_strdup(column(row, 1));
  sub->options = (uint8_t) sqlite3_column_int(row, 2);
  sub->id = (uint32_t) sqlite3_column_int64(row, 3);
}

static void load_held(sqlite3_stmt *row) {
  struct session *s = session_of_row(sqlite3_column_int64(row, 0));
  if (s != NULL && s->num_held < MAX_HELD) s->held[s->num_held++] = (uint16_t) sqlite3_column_int(row, 1);
}

// A joined row of a message and a session it is queued for; often the message is that of the previous row.
static struct message *load_message(sqlite3_stmt *row, int at, struct message *before) {
  struct message *m;
  if (before != NULL && before->row == sqlite3_column_int64(row, at)) return before;
  m = message_new(column(row, at + 1), column(row, at + 2), column(row, at + 3), sqlite3_column_int(row, at + 4), false);
  message_drop(before);
  if (m == NULL) return NULL;
  m->row = sqlite3_column_int64(row, at);
  m->expires = from_store(sqlite3_column_int64(row, at + 5));
  return m;
}

static struct message *s_loaded;  // the last message

static void load_queued(sqlite3_stmt *row) {
  struct session *s = session_of_row(sqlite3_column_int64(row, 1));
  struct mg_str ids = column(row, 7);
  struct queued *q;
  s_loaded = load_message(row, 8, s_loaded);
  if (s == NULL || s_loaded == NULL) return;
  q = enqueue(s, s_loaded, sqlite3_column_int(row, 4), sqlite3_column_int(row, 6) != 0, (const uint32_t *) ids.buf, ids.len / sizeof(uint32_t));
  if (q == NULL) return;
  q->row = sqlite3_column_int64(row, 0);
  q->id = (uint16_t) sqlite3_column_int(row, 3);
  q->state = (uint8_t) sqlite3_column_int(row, 5);
  q->lost = q->state != WAITING;
  if (q->lost) s->next_id = q->id;
}

static void load_retained(sqlite3_stmt *row) {
  s_loaded = load_message(row, 0, s_loaded);
  if (s_loaded == NULL) return;
  s_loaded->retain = true;
  s_loaded->next = s_retained;
  s_retained = s_loaded;
  s_loaded->refs++;
  s_num_retained++;
}

static void load(const char *query, void (*fn)(sqlite3_stmt *)) {
  sqlite3_stmt *row;
  if (sqlite3_prepare_v2(s_db, query, -1, &row, NULL) != SQLITE_OK) store_failed();
  while (sqlite3_step(row) == SQLITE_ROW) fn(row);
  if (sqlite3_finalize(row) != SQLITE_OK) store_failed();
}

// Opens the database and loads its contents. False if it cannot be opened.
static bool store_open(const char *path) {
  int i;
  if (sqlite3_open(path, &s_db) != SQLITE_OK || sqlite3_exec(s_db, s_schema, NULL, NULL, NULL) != SQLITE_OK) {
    fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(s_db));
    sqlite3_close(s_db);
    s_db = NULL;
    return false;
  }
  for (i = 0; i < NUM_STATEMENTS; i++) {
    if (sqlite3_prepare_v2(s_db, s_statements[i], -1, &s_prepared[i], NULL) != SQLITE_OK) store_failed();
  }
  load("SELECT * FROM session", load_session);
  load("SELECT * FROM subscription", load_subscription);
  load("SELECT * FROM held", load_held);
  // In the order of arrival, so messages in flight come first.
  load("SELECT queued.*, message.* FROM queued JOIN message ON message.row = queued.message ORDER BY queued.row", load_queued);
  load("SELECT message.* FROM retained JOIN message ON message.row = retained.message", load_retained);
  message_drop(s_loaded);
  s_loaded = NULL;
  return true;
}

// Frees the memory without changing the database.
static void store_close(void) {
  int i;
  store_commit();
  for (i = 0; i < NUM_STATEMENTS; i++) sqlite3_finalize(s_prepared[i]);
  sqlite3_close(s_db);
  s_db = NULL;
}

#else

static void store_session(struct session *s) { (void) s; }
static void store_forget_session(struct session *s) { (void) s; }
static void store_subscription(struct session *s, const struct subscription *sub) { (void) s, (void) sub; }
static void store_forget_subscription(struct session *s, const struct subscription *sub) { (void) s, (void) sub; }
static void store_queued(struct session *s, struct queued *q) { (void) s, (void) q; }
static void store_forget_queued(struct queued *q) { (void) q; }
static void store_held(struct session *s, uint16_t id, bool held) { (void) s, (void) id, (void) held; }
static void store_retained(struct message *m) { (void) m; }
static void store_forget_retained(struct message *m) { (void) m; }
static void store_forget_message(struct message *m) { (void) m; }
static void store_commit(void) {}
static void store_close(void) {}

static bool store_open(const char *path) {
  fprintf(stderr, "%s: built without a database\n", path);
  return false;
}

#endif
#endif
