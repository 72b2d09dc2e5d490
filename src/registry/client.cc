#include "registry/client.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "registry/answer_error.h"
#include "registry/client_impl.h"

namespace weighbridge::registry {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// Keeps a body, no more of it than was promised; grows as bytes come, so that a size somebody
// wrote down allocates nothing. Confined, as every sink.
class StringSink final : public base::BodySink {
 public:
  explicit StringSink(std::uint64_t size) : size_(size) {}

  std::span<std::byte> window() override {
    constexpr std::uint64_t kStepBytes = std::uint64_t{256} * 1024;
    text_.resize(landed_ + std::min(kStepBytes, size_ - landed_));
    return std::as_writable_bytes(std::span(text_).subspan(landed_));
  }

  Result<void> landed(std::size_t bytes) override {
    landed_ += bytes;
    return {};
  }

  std::string take() {
    text_.resize(landed_);
    return std::move(text_);
  }

 private:
  const std::uint64_t size_;
  std::size_t landed_ = 0;
  std::string text_;
};

std::vector<net::HttpHeader> accept_manifests() {
  return {
      {"Accept",
       fmt::format(
           "{}, {}, {}, {}", kManifestType, kIndexType, kDockerManifestType, kDockerIndexType)}};
}

Result<std::string> manifest_path(const TagOrDigest& name) {
  if (const auto* const tag = std::get_if<std::string>(&name); tag != nullptr && !is_tag(*tag)) {
    return Error(Code::kInvalid, fmt::format("'{}' is not a tag", base::printable(*tag)));
  }
  return "manifests/" + to_text(name);
}

Error wrong_digest(std::string_view what, const std::string& expected, const std::string& found) {
  return Error(Code::kCorrupt, fmt::format("{} has the digest {}, not {}", what, found, expected))
      .with_hint("Bytes were changed on their way or in the registry.");
}

Digest digest_of(Algorithm algorithm, std::string_view bytes) {
  Digester digester(algorithm);
  digester.update(std::as_bytes(std::span(bytes)));
  return digester.finish();
}

// What the registry calls it, if it says so in a way we can check.
std::optional<Digest> announced_digest(const net::HttpHead& head) {
  auto digest = Digest::parse(head.header("docker-content-digest"));
  return digest.ok() ? std::optional(std::move(digest).value()) : std::nullopt;
}

// What was asked for, or what was announced, must be what came.
Result<Digest> check_manifest(const net::HttpReply& reply,
                              const TagOrDigest& name,
                              const std::string& url) {
  const auto announced = announced_digest(reply.head);
  const auto* const asked = std::get_if<Digest>(&name);
  for (const Digest* expected : {asked, announced ? &*announced : nullptr}) {
    if (expected == nullptr) {
      continue;
    }
    const Digest found = digest_of(expected->algorithm(), reply.body);
    if (found != *expected) {
      return wrong_digest(
          "the manifest at " + net::printable_url(url), expected->text(), found.text());
    }
  }
  if (asked != nullptr) {
    return *asked;
  }
  return announced ? *announced : Digest::of(std::string_view(reply.body));
}

bool has_subject(std::string_view bytes, std::string_view media_type) {
  const auto parsed = parse_manifest_or_index(bytes, media_type);
  return parsed.ok() &&
         std::visit([](const auto& value) { return value.subject.has_value(); }, parsed.value());
}

// The length a HEAD announces.
Result<std::uint64_t> announced_size(const net::HttpHead& head, std::string_view url) {
  const auto size = base::parse_decimal(head.header("content-length"));
  if (!size) {
    return Error(Code::kCorrupt, net::printable_url(url) + ": the registry announces no length");
  }
  return *size;
}

}  // namespace

Client::Client(Parts parts) : impl_(std::make_unique<Impl>(std::move(parts))) {}

Client::~Client() = default;

const std::string& Client::host() const {
  return impl_->parts().host;
}

bool Client::is_plain() const {
  return impl_->is_plain();
}

Capabilities Client::capabilities() const {
  return impl_->capabilities();
}

std::vector<std::string> Client::take_warnings() {
  return impl_->take_warnings();
}

Result<void> Client::ping(const Call& call) {
  const RegistryRequest request{.method = "GET", .url = impl_->url("")};
  const auto reply = TRY(impl_->exchange(call, request));
  if (reply.head.status == 404) {
    return Error(Code::kUnsupported, fmt::format("{} is not a registry: it has no /v2/", host()))
        .in_file(host())
        .with_hint("Check the host and port.");
  }
  if (reply.head.status != 200) {
    return impl_->error_of(reply, request);
  }
  return {};
}

Result<std::optional<Descriptor>> Client::head_manifest(const Call& call,
                                                        const std::string& repository,
                                                        const TagOrDigest& name) {
  const RegistryRequest request{
      .method = "HEAD",
      .url = TRY(impl_->repository_url(repository, TRY(manifest_path(name)))),
      .scopes = {pull_scope(repository)},
      .headers = accept_manifests()};
  const auto reply = TRY(impl_->exchange(call, request));
  if (reply.head.status == 404) {
    return std::optional<Descriptor>();
  }
  if (reply.head.status != 200) {
    return impl_->error_of(reply, request);
  }
  const auto* const asked = std::get_if<Digest>(&name);
  const auto announced = announced_digest(reply.head);
  if (asked == nullptr && !announced) {
    // Not every registry says it without the body.
    const auto fetched = TRY(get_manifest(call, repository, name));
    return std::optional(fetched.descriptor());
  }
  if (asked != nullptr && announced && announced->algorithm() == asked->algorithm() &&
      *announced != *asked) {
    return wrong_digest(
        "the manifest at " + net::printable_url(request.url), asked->text(), announced->text());
  }
  const std::uint64_t size = TRY(announced_size(reply.head, request.url));
  return std::optional(Descriptor{std::string(reply.head.header("content-type")),
                                  asked != nullptr ? *asked : *announced,
                                  size,
                                  {},
                                  {}});
}

Result<FetchedManifest> Client::get_manifest(const Call& call,
                                             const std::string& repository,
                                             const TagOrDigest& name) {
  const RegistryRequest request{
      .method = "GET",
      .url = TRY(impl_->repository_url(repository, TRY(manifest_path(name)))),
      .scopes = {pull_scope(repository)},
      .headers = accept_manifests(),
      .answer_limit = kMaxManifestBytes + 1};
  auto reply = TRY(impl_->exchange(call, request));
  if (reply.head.status != 200) {
    return impl_->error_of(reply, request);
  }
  const std::string printed = net::printable_url(request.url);
  if (reply.body.size() > kMaxManifestBytes) {
    return Error(Code::kExhausted,
                 fmt::format("{}: a manifest above {} bytes", printed, kMaxManifestBytes))
        .in_file(printed);
  }
  if (!reply.body_complete) {
    return Error(Code::kUnavailable, fmt::format("{}: the manifest broke off", printed))
        .in_file(printed);
  }
  Digest digest = TRY(check_manifest(reply, name, request.url));
  return FetchedManifest{
      std::string(reply.head.header("content-type")), std::move(digest), std::move(reply.body)};
}

Result<PutManifest> Client::put_manifest(const Call& call,
                                         const std::string& repository,
                                         const TagOrDigest& name,
                                         std::string_view media_type,
                                         std::string_view bytes) {
  const std::uint64_t limit = std::min(capabilities().max_manifest_bytes, kMaxManifestBytes);
  if (bytes.size() > limit) {
    return Error(Code::kExhausted,
                 fmt::format("a manifest of {} bytes; {} takes {}", bytes.size(), host(), limit))
        .with_hint("Fewer or larger layers make it smaller.");
  }
  const auto* const asked = std::get_if<Digest>(&name);
  const Algorithm algorithm = asked == nullptr ? Algorithm::kSha256 : asked->algorithm();
  Digest digest = digest_of(algorithm, bytes);
  if (asked != nullptr && *asked != digest) {
    return Error(Code::kInvalid, "the manifest to put does not have the digest it is put under");
  }
  const RegistryRequest request{
      .method = "PUT",
      .url = TRY(impl_->repository_url(repository, TRY(manifest_path(name)))),
      .scopes = {push_scope(repository)},
      .headers = {{"Content-Type", std::string(media_type)}},
      .text = bytes};
  const auto reply = TRY(impl_->exchange(call, request));
  if (reply.head.status == 413) {
    impl_->note({Lesson::What::kManifestTooLarge, bytes.size()});
    return Error(Code::kExhausted,
                 fmt::format("{} does not take a manifest of {} bytes", host(), bytes.size()))
        .with_hint("Fewer or larger layers make it smaller.");
  }
  if (reply.head.status != 201) {
    return impl_->error_of(reply, request);
  }
  const auto announced = announced_digest(reply.head);
  if (announced && announced->algorithm() == algorithm && *announced != digest) {
    return wrong_digest("the manifest that was put", digest.text(), announced->text());
  }
  const bool subject_told = !reply.head.header("oci-subject").empty();
  return PutManifest{std::move(digest), !subject_told && has_subject(bytes, media_type)};
}

Result<bool> Client::delete_manifest(const Call& call,
                                     const std::string& repository,
                                     const TagOrDigest& name) {
  const RegistryRequest request{
      .method = "DELETE",
      .url = TRY(impl_->repository_url(repository, TRY(manifest_path(name)))),
      .scopes = {delete_scope(repository)}};
  return impl_->removed(call, request);
}

Result<std::optional<std::uint64_t>> Client::head_blob(const Call& call,
                                                       const std::string& repository,
                                                       const Digest& digest) {
  const RegistryRequest request{
      .method = "HEAD",
      .url = TRY(impl_->repository_url(repository, "blobs/" + digest.text())),
      .scopes = {pull_scope(repository)}};
  const auto reply = TRY(impl_->exchange(call, request));
  if (reply.head.status == 404) {
    return std::optional<std::uint64_t>();
  }
  if (reply.head.status != 200) {
    return impl_->error_of(reply, request);
  }
  return std::optional(TRY(announced_size(reply.head, request.url)));
}

Result<void> Client::read_blob(const Call& call,
                               const std::string& repository,
                               const Descriptor& blob,
                               base::Range range,
                               base::BodySink& sink) {
  net::HttpGet get;
  get.url = TRY(impl_->repository_url(repository, "blobs/" + blob.digest.text()));
  get.expect.total_bytes = blob.size;
  const bool whole = range == base::Range{0, blob.size};
  if (!whole) {
    get.range = range;
  }
  const std::string url = get.url;
  auto head = impl_->get(call, std::move(get), {pull_scope(repository)}, sink);
  // A 200 in the middle is refused by the HTTP client, one at the beginning is a usable stream.
  if (!whole && (head.ok() ? head->ignored_range : head.error().code() == Code::kUnsupported)) {
    impl_->note({Lesson::What::kRangeIgnored, 0});
  }
  if (!head.ok()) {
    return std::move(head).error();
  }
  if (head->status != 200 && head->status != 206) {
    const RegistryRequest request{.method = "GET", .url = url};
    return impl_->error_of({std::move(head).value(), {}, true}, request);
  }
  return {};
}

Result<void> Client::read_whole_blob(const Call& call,
                                     const std::string& repository,
                                     const Descriptor& blob,
                                     base::BodySink& sink) {
  DigestingSink digesting(blob.digest.algorithm(), sink);
  if (blob.size > 0) {
    TRY(read_blob(call, repository, blob, {0, blob.size}, digesting));
  }
  if (digesting.bytes() != blob.size) {
    return Error(Code::kCorrupt,
                 fmt::format("the blob {} is of {} bytes, not {}",
                             blob.digest.text(),
                             digesting.bytes(),
                             blob.size));
  }
  const Digest found = digesting.finish();
  if (found != blob.digest) {
    return wrong_digest(
        fmt::format("the blob from {}/{}", host(), repository), blob.digest.text(), found.text());
  }
  return {};
}

Result<std::string> Client::get_blob(const Call& call,
                                     const std::string& repository,
                                     const Descriptor& blob,
                                     std::uint64_t limit_bytes) {
  if (blob.size > limit_bytes) {
    return Error(Code::kExhausted,
                 fmt::format("the blob {} has {} bytes; the limit is {}",
                             blob.digest.text(),
                             blob.size,
                             limit_bytes));
  }
  StringSink sink(blob.size);
  TRY(read_whole_blob(call, repository, blob, sink));
  return sink.take();
}

Result<bool> Client::delete_blob(const Call& call,
                                 const std::string& repository,
                                 const Digest& digest) {
  const RegistryRequest request{
      .method = "DELETE",
      .url = TRY(impl_->repository_url(repository, "blobs/" + digest.text())),
      .scopes = {delete_scope(repository)}};
  return impl_->removed(call, request);
}

}  // namespace weighbridge::registry
