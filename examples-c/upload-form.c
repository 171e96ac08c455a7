// Receives files of any size from a browser or from curl, and serves them.
//
// usage: upload-form -h
//
//   open http://localhost:8000 in a browser                      a form, and the list of files
//   curl -T photo.jpg localhost:8000/upload/                     one request, written to disk as it arrives
//   curl --data-binary @part1 'localhost:8000/chunk?file=a.bin&offset=0'       in pieces, each with its offset;
//   curl --data-binary @part2 'localhost:8000/chunk?file=a.bin&offset=1000'    the response is the size so far
//   curl -F f=@notes.txt localhost:8000/form                     as a plain HTML form; small files only
//   curl -O localhost:8000/files/photo.jpg                       downloads a file

#include "example.h"

#define MAX_SIZE ((size_t) 1 << 30)

static const char *const s_usage =
    "usage: upload-form [-l URL] [-d DIRECTORY]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default http://0.0.0.0:8000; port 0 is any free port\n"
    "  -d DIRECTORY   where to store the files, default DIR\n";

static const char *s_dir = "uploads";

static const char *const s_body =
    "<h1>Upload</h1>\n"
    "<p><label for=\"file\">A file of any size, sent in pieces:</label></p>\n"
    "<p class=\"row\"><input type=\"file\" id=\"file\"> <progress id=\"bar\" value=\"0\" max=\"1\" aria-label=\"Sent\"></progress>\n"
    "<span id=\"text\" role=\"status\"></span></p>\n"
    "<p><a href=\"/files/\">Files</a></p>\n";

static const char *const s_script =
    "document.getElementById('file').onchange = async function () {\n"
    "  const file = this.files[0], bar = document.getElementById('bar'), text = document.getElementById('text');\n"
    "  const name = encodeURIComponent(file.name), step = 1 << 20;\n"
    "  let offset = 0;\n"
    "  while (offset < file.size) {\n"
    "    const answer = await fetch('/chunk?file=' + name + '&offset=' + offset,\n"
    "                               {method: 'POST', body: file.slice(offset, offset + step)});\n"
    "    if (!answer.ok) { text.textContent = await answer.text(); return; }\n"
    "    offset = Number(await answer.text());\n"
    "    bar.value = offset / file.size;\n"
    "  }\n"
    "  text.textContent = 'stored ' + offset + ' bytes';\n"
    "};\n";

// The upload is complete, or has failed.
static void uploaded(struct mg_connection *c, const char *error) {
  if (error == NULL) {
    mg_http_reply(c, 201, "Content-Type: text/plain\r\n", "stored\n");
  } else {
    mg_http_reply(c, 400, "Content-Type: text/plain\r\n", "%s\n", error);
    c->is_draining = 1;
  }
}

// A form: all parts are in memory.
static void form(struct mg_connection *c, struct mg_http_message *hm) {
  struct mg_http_part part;
  size_t ofs = 0, count = 0;
  while ((ofs = mg_http_next_multipart(hm->body, ofs, &part)) > 0) {
    char path[300];
    if (part.filename.len == 0) continue;
    if (!mg_path_is_sane(part.filename) || part.filename.len > 200 || memchr(part.filename.buf, '/', part.filename.len) != NULL) {
      mg_http_reply(c, 400, "", "bad name\n");
      return;
    }
    mg_snprintf(path, sizeof(path), "%s/%.*s", s_dir, (int) part.filename.len, part.filename.buf);
    if (!mg_file_write(&mg_fs_posix, path, part.body.buf, part.body.len)) {
      mg_http_reply(c, 500, "", "cannot write\n");
      return;
    }
    count++;
  }
  mg_http_reply(c, 200, "Content-Type: text/plain\r\n", "%lu stored\n", (unsigned long) count);
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  struct mg_str name[2];  // one more than the number of wildcards
  if (ev == MG_EV_HTTP_HDRS && mg_match(hm->uri, mg_str("/upload/*"), name)) {
    char file[200];
    int n = mg_url_decode(name[0].buf, name[0].len, file, sizeof(file), 0);
    mg_http_start_upload(c, hm, mg_str_n(file, n < 0 ? 0 : (size_t) n), mg_str(s_dir), &mg_fs_posix, uploaded);
  } else if (ev == MG_EV_HTTP_MSG) {
    if (mg_match(hm->uri, mg_str("/"), NULL)) {
      example_page(c, "Upload", s_body, s_script);
    } else if (mg_match(hm->uri, mg_str("/chunk"), NULL)) {
      mg_http_upload(c, hm, &mg_fs_posix, s_dir, MAX_SIZE);
    } else if (mg_match(hm->uri, mg_str("/form"), NULL)) {
      form(c, hm);
    } else if (mg_match(hm->uri, mg_str("/files/#"), NULL)) {
      struct mg_http_serve_opts opts;
      char roots[300];
      memset(&opts, 0, sizeof(opts));
      mg_snprintf(roots, sizeof(roots), "/files=%s", s_dir);
      opts.root_dir = roots;
      mg_http_serve_dir(c, hm, &opts);
    } else {
      mg_http_reply(c, 404, "", "not found\n");
    }
  }
}

int main(int argc, char **argv) {
  const char *url = "http://0.0.0.0:8000";
  struct mg_mgr mgr;
  struct mg_connection *listener;
  int opt;

  while ((opt = getopt(argc, argv, "hl:d:")) != -1) {
    switch (opt) {
      case 'l': url = optarg; break;
      case 'd': s_dir = optarg; break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind < argc) url = argv[optind++];
  if (optind < argc) s_dir = argv[optind++];
  if (optind < argc) return example_usage(s_usage, '?');
  mg_fs_posix.mkd(s_dir);
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  mgx_mgr_limits(&mgr, mgx_limits_public());
  listener = mg_http_listen(&mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  example_ready(listener, "http");
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
