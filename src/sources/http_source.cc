#include "sources/http_source.h"

#include <cstdint>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "formats/seal.h"
#include "hash/hash_tree.h"
#include "sources/buffer_sink.h"

namespace weighbridge::sources {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// A body without an announced length may have no end. At a gigabyte a second this takes a quarter
// of an hour; who cannot wait gives the call a deadline.
constexpr std::uint64_t kMaxUncountedBytes = 1024 * base::kGiB;

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// RFC 3986, 2.1; '/' separates and stays.
std::string percent_encode(std::string_view path) {
  std::string encoded;
  for (const char c : path) {
    if (is_unreserved(c) || c == '/') {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    std::byte byte{};
    if (!base::from_hex(text.substr(i + 1, 2), {&byte, 1})) {
      return std::nullopt;
    }
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

// Thread-safe: the client is, and nothing else changes.
class HttpSource final : public Source {
 public:
  HttpSource(net::HttpClient& client,
             std::string directory,
             std::string query,
             std::string single,
             std::string single_url)
      : client_(client),
        directory_(std::move(directory)),
        query_(std::move(query)),
        single_(std::move(single)),
        single_url_(std::move(single_url)) {}

  Result<std::string> single_file(const Call&) override { return single_; }

  Result<std::optional<std::vector<std::byte>>> seal(const Call& call) override {
    BufferSink body(formats::kMaxSealBytes);
    net::HttpGet request;
    request.url = url_of(formats::kSealName);
    const net::HttpHead head = TRY(client_.get(call, request, body));
    if (head.status == 403 || head.status == 404 || head.status == 410) {
      return std::optional<std::vector<std::byte>>();
    }
    if (head.status != 200) {
      return net::http_error(head, request.url);
    }
    return std::optional(body.take());
  }

  Result<std::optional<Listing>> list(const Call&) override { return std::optional<Listing>(); }

  Result<model::File> find(const Call& call, std::string_view path) override {
    CountingSink first_byte(1);
    net::HttpGet request;
    request.url = url_of(path);
    request.range = base::Range{0, 1};
    const net::HttpHead head = TRY(client_.get(call, request, first_byte));
    const bool is_empty = head.status == 416 && head.total_bytes == std::optional<std::uint64_t>(0);
    if (head.status != 200 && head.status != 206 && !is_empty) {
      return net::http_error(head, request.url);
    }
    model::File file;
    file.path = std::string(path);
    file.validator = {head.etag, head.last_modified};
    file.size = head.total_bytes ? *head.total_bytes : TRY(count(call, request.url));
    return file;
  }

  Result<void> read(const Call& call,
                    const model::File& file,
                    base::Range range,
                    base::BodySink& sink) override {
    if (range.empty()) {
      return file.size == 0 ? still_empty(call, file) : Result<void>();
    }
    net::HttpGet request;
    request.url = url_of(file.path);
    request.range = range;
    request.expect = {file.validator.etag, file.validator.last_modified, file.size};
    const net::HttpHead head = TRY(client_.get(call, request, sink));
    if (head.status != 200 && head.status != 206) {
      return net::http_error(head, request.url);
    }
    return {};
  }

  std::string printable(std::string_view path) const override {
    return net::printable_url(url_of(path));
  }

  std::string identity(std::string_view path) const override {
    // Digested, since a query may hold a credential.
    return hash::hash_bytes(std::as_bytes(std::span<const char>(url_of(path)))).hex();
  }

  // What object stores advise for one client, and more than any other server should have to bear.
  std::size_t max_connections() const override { return 48; }

  // Enough to fill a fast link, few enough for each to keep its receive buffer in the cache.
  std::size_t first_connections() const override { return 4; }

 private:
  // An empty file has no byte to ask for, and must be there all the same.
  Result<void> still_empty(const Call& call, const model::File& file) {
    const model::File found = TRY(find(call, file.path));
    if (found.size != 0) {
      return Error(Code::kCorrupt,
                   fmt::format("expected an empty file, found {} bytes", found.size))
          .in_file(printable(file.path));
    }
    return {};
  }

  // The whole body, for the size that the server does not announce.
  Result<std::uint64_t> count(const Call& call, const std::string& url) {
    CountingSink body(kMaxUncountedBytes + 1);
    net::HttpGet request;
    request.url = url;
    const net::HttpHead head = TRY(client_.get(call, request, body));
    if (head.status != 200) {
      return net::http_error(head, url);
    }
    if (body.count() > kMaxUncountedBytes) {
      return Error(Code::kUnsupported, "the server announces no size, and the file passes 1 TiB")
          .in_file(net::printable_url(url))
          .with_hint("Seal the file, or serve it with a Content-Length or with ranges.");
    }
    return body.count();
  }

  std::string url_of(std::string_view path) const {
    if (!single_.empty() && path == single_) {
      return single_url_;  // as it was given, in its own spelling
    }
    return directory_ + percent_encode(path) + query_;
  }

  net::HttpClient& client_;
  const std::string directory_;  // ends in '/'
  const std::string query_;      // empty, or begins with '?'
  const std::string single_;
  const std::string single_url_;
};

}  // namespace

Result<std::unique_ptr<Source>> open_http_source(net::HttpClient& client, const model::Ref& ref) {
  const std::string& url = ref.location();
  const std::size_t question = url.find('?');
  const std::string query = question == std::string::npos ? "" : url.substr(question);
  std::string path = url.substr(0, question);
  const std::size_t authority = path.find("://") + 3;
  if (path.find('/', authority) == std::string::npos) {
    path += '/';
  }
  const std::size_t name_at = path.rfind('/') + 1;
  const std::optional<std::string> single = percent_decode(std::string_view(path).substr(name_at));
  if (!single || (!single->empty() && !model::is_snapshot_path(*single)) ||
      single->find('/') != std::string::npos) {
    return Error(Code::kInvalid, "the last part of the URL cannot be a file's name")
        .in_file(ref.printable())
        .with_hint("A directory's URL ends in '/'.");
  }
  return std::unique_ptr<Source>(
      std::make_unique<HttpSource>(client, path.substr(0, name_at), query, *single, url));
}

}  // namespace weighbridge::sources
