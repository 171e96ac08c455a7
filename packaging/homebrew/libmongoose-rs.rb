# A formula for a tap of yours, for Homebrew on Linux. HOMEBREW_LIBMONGOOSE_RS says where the sources are.
class LibmongooseRs < Formula
  desc "Embedded web server and networking library: the mg_* API of libmongoose 7.22"
  homepage "https://libmongoose-rs.example/"
  url "file://#{ENV.fetch("HOMEBREW_LIBMONGOOSE_RS", "/nonexistent")}", using: :git
  version "7.22.0"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build
  depends_on :linux

  def install
    system "make", "install", "PREFIX=#{prefix}"
  end

  test do
    (testpath/"test.c").write <<~C
      #include "mongoose.h"
      int main(void) {
        struct mg_mgr mgr;
        mg_mgr_init(&mgr);
        mg_mgr_free(&mgr);
        return 0;
      }
    C
    system ENV.cc, "test.c", "-I#{include}", "-L#{lib}", "-lmongoose", "-o", "test"
    system "./test"
  end
end
