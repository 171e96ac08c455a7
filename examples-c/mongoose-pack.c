// Embeds files in a C program: pages, style sheets, certificates.
//
// usage: mongoose-pack -h
//
//   mongoose-pack web > packed.c                 all files in the directory web, as /web/...
//   mongoose-pack -s web -p / web > packed.c     the same, as /...
//   cc app.c packed.c -lmongoose                 and in the program:
//
//     extern const struct mg_mem_file packed_files[];
//     mg_mem_files = packed_files;
//     struct mg_http_serve_opts opts = {.root_dir = "/web", .fs = &mg_fs_packed};
//     mg_http_serve_dir(c, hm, &opts);
//
// The same files always give the same output: they are sorted, and their times are left out unless -t is given.

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const s_usage =
    "usage: mongoose-pack [-n NAME] [-s PREFIX] [-p PREFIX] [-t] [-o FILE] PATH...\n"
    "  -n NAME     of the array, default packed_files\n"
    "  -s PREFIX   removed from the beginning of each path\n"
    "  -p PREFIX   prepended to the rest, default /\n"
    "  -t          include the files' times, for Last-Modified; without it the output depends on names and contents only\n"
    "  -o FILE     write there, default stdout\n"
    "  PATH        a file, or a directory with its contents; names that begin with a dot are skipped\n";

struct file {
  char *path, *name;
  long long mtime;
  size_t size;
};

static struct file *s_files;
static size_t s_count, s_room;
static const char *s_strip = "", *s_put = "/";

static void fail(const char *what) {
  fprintf(stderr, "mongoose-pack: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void *checked(void *p) {
  if (p == NULL) fail("memory");
  return p;
}

static char *join(const char *a, const char *slash, const char *b) {
  size_t size = strlen(a) + strlen(slash) + strlen(b) + 1;
  char *s = (char *) checked(malloc(size));
  snprintf(s, size, "%s%s%s", a, slash, b);
  return s;
}

// The name that a program asks for. mg_fs_packed compares whole paths, so there must be one slash at each joint.
static char *name_of(const char *path) {
  size_t strip = strlen(s_strip), end = strlen(s_put);
  const char *rest = path;
  if (strip > 0 && strncmp(path, s_strip, strip) == 0 && (path[strip] == '/' || path[strip] == '\0' || path[strip - 1] == '/')) {
    rest += strip;
  }
  while (rest[0] == '.' && rest[1] == '/') rest += 2;
  while (*rest == '/') rest++;
  return join(s_put, end > 0 && s_put[end - 1] == '/' ? "" : "/", rest);
}

static void add(const char *path, const struct stat *st) {
  if (s_count == s_room) {
    s_room = s_room * 2 + 16;
    s_files = (struct file *) checked(realloc(s_files, s_room * sizeof(*s_files)));
  }
  s_files[s_count].path = join(path, "", "");
  s_files[s_count].name = name_of(path);
  s_files[s_count++].mtime = (long long) st->st_mtime;
}

static void walk(const char *path, int depth) {
  struct stat st;
  if (stat(path, &st) != 0) fail(path);
  if (S_ISDIR(st.st_mode)) {
    DIR *dir = opendir(path);
    struct dirent *entry;
    size_t len = strlen(path);
    if (dir == NULL) fail(path);
    if (depth > 50) {  // a symlink loop
      fprintf(stderr, "mongoose-pack: %s: too deep\n", path);
      exit(1);
    }
    while ((entry = readdir(dir)) != NULL) {
      char *inner;
      if (entry->d_name[0] == '.') continue;
      inner = join(path, path[len - 1] == '/' ? "" : "/", entry->d_name);
      walk(inner, depth + 1);
      free(inner);
    }
    closedir(dir);
  } else if (S_ISREG(st.st_mode)) {
    add(path, &st);
  } else {
    fprintf(stderr, "mongoose-pack: %s is neither a file nor a directory: skipped\n", path);
  }
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct file *) a)->name, ((const struct file *) b)->name);
}

// A name as a C string. Octal escapes end after three digits, whatever follows.
static void quote(FILE *out, const char *s) {
  fputc('"', out);
  for (; *s != '\0'; s++) {
    unsigned char c = (unsigned char) *s;
    if (c == '"' || c == '\\' || c == '?' || c < 32 || c > 126) {
      fprintf(out, "\\%03o", c);
    } else {
      fputc(c, out);
    }
  }
  fputc('"', out);
}

static void write_content(FILE *out, size_t number, struct file *f) {
  unsigned char buf[16384];
  size_t n, i;
  FILE *in = fopen(f->path, "rb");
  if (in == NULL) fail(f->path);
  fprintf(out, "static const unsigned char file%lu[] = {", (unsigned long) number);
  f->size = 0;
  while ((n = fread(buf, 1, sizeof(buf), in)) > 0) {
    for (i = 0; i < n; i++, f->size++) fprintf(out, "%s%u,", f->size % 24 == 0 ? "\n" : "", buf[i]);
  }
  if (ferror(in)) fail(f->path);
  fclose(in);
  fprintf(out, "\n0};\n");  // behind the end, so that text is also a C string, and an empty file is an array
}

static bool is_identifier(const char *s) {
  size_t i;
  for (i = 0; s[i] != '\0'; i++) {
    bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_';
    if (!letter && (i == 0 || s[i] < '0' || s[i] > '9')) return false;
  }
  return i > 0;
}

int main(int argc, char **argv) {
  const char *array = "packed_files", *path = NULL;
  bool times = false;
  FILE *out = stdout;
  size_t i;
  int opt;

  while ((opt = getopt(argc, argv, "hn:s:p:to:")) != -1) {
    switch (opt) {
      case 'n': array = optarg; break;
      case 's': s_strip = optarg; break;
      case 'p': s_put = optarg; break;
      case 't': times = true; break;
      case 'o': path = optarg; break;
      case 'h': fputs(s_usage, stdout); return 0;
      default: fputs(s_usage, stderr); return 2;
    }
  }
  if (optind == argc || !is_identifier(array)) {
    fputs(s_usage, stderr);
    return 2;
  }
  while (optind < argc) walk(argv[optind++], 0);
  if (s_count > 1) qsort(s_files, s_count, sizeof(*s_files), by_name);
  for (i = 1; i < s_count; i++) {
    if (strcmp(s_files[i - 1].name, s_files[i].name) != 0) continue;
    fprintf(stderr, "mongoose-pack: %s and %s both become %s\n", s_files[i - 1].path, s_files[i].path, s_files[i].name);
    return 1;
  }
  if (path != NULL && (out = fopen(path, "w")) == NULL) fail(path);
  fprintf(out, "// Generated by mongoose-pack: do not edit.\n#include \"mongoose.h\"\n\n");
  for (i = 0; i < s_count; i++) write_content(out, i, &s_files[i]);
  // Declared first, because constants have internal linkage in C++.
  fprintf(out, "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\nextern const struct mg_mem_file %s[];\n", array);
  fprintf(out, "const struct mg_mem_file %s[] = {\n", array);
  for (i = 0; i < s_count; i++) {
    fprintf(out, "  {");
    quote(out, s_files[i].name);
    fprintf(out, ", file%lu, %lu, %lld},\n", (unsigned long) i, (unsigned long) s_files[i].size, times ? s_files[i].mtime : 0);
  }
  fprintf(out, "  {NULL, NULL, 0, 0},\n};\n#ifdef __cplusplus\n}\n#endif\n");
  if (fflush(out) != 0 || ferror(out) || (path != NULL && fclose(out) != 0)) fail(path != NULL ? path : "stdout");
  for (i = 0; i < s_count; i++) {
    free(s_files[i].path);
    free(s_files[i].name);
  }
  free(s_files);
  return 0;
}
