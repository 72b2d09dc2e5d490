// Uploads. A registry names each step's place in the Location of the step before, and is the only
// one to know what that means: we keep it to the letter, resolve it against where we asked, and
// add nothing but the digest to its query.

#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "registry/answer_error.h"
#include "registry/client.h"
#include "registry/client_impl.h"

namespace weighbridge::registry {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

std::string with_digest(const std::string& location, const Digest& digest) {
  const char* const joint = location.find('?') == std::string::npos ? "?" : "&";
  return location + joint + "digest=" + query_encoded(digest.text());
}

// "0-99" or, as some write it, "bytes=0-99": how many bytes the registry has.
std::optional<std::uint64_t> stored_bytes(const net::HttpHead& head) {
  std::string_view range = head.header("range");
  constexpr std::string_view kUnit = "bytes=";
  if (range.starts_with(kUnit)) {
    range.remove_prefix(kUnit.size());
  }
  constexpr std::string_view kFromTheFirst = "0-";
  if (!range.starts_with(kFromTheFirst)) {
    return std::nullopt;
  }
  const auto last = base::parse_decimal(range.substr(kFromTheFirst.size()));
  if (!last || *last >= (std::uint64_t{1} << 62U)) {
    return std::nullopt;
  }
  // The specification has no way to say "nothing": 0-0 is what registries send for it.
  return *last == 0 ? 0 : *last + 1;
}

Error elsewhere(const Upload& upload, std::string_view host, std::uint64_t stored) {
  return Error(Code::kConflict,
               fmt::format("{} has {} bytes of the upload, not {}", host, stored, upload.offset))
      .with_hint("Ask where the upload stands, and go on from there.");
}

}  // namespace

Result<Upload> Client::begin_upload(const Call& call, const std::string& repository) {
  const RegistryRequest request{.method = "POST",
                                .url = TRY(impl_->repository_url(repository, "blobs/uploads/")),
                                .scopes = {push_scope(repository)}};
  const auto reply = TRY(impl_->exchange(call, request));
  if (reply.head.status != 202) {
    return impl_->error_of(reply, request);
  }
  return Upload{repository, TRY(impl_->location_of(reply, request.url)), 0};
}

Result<std::optional<Upload>> Client::mount(const Call& call,
                                            const std::string& repository,
                                            const Digest& digest,
                                            const std::string& from_repository) {
  TRY(impl_->repository_url(from_repository, {}));
  const RegistryRequest request{
      .method = "POST",
      .url = TRY(impl_->repository_url(repository,
                                       fmt::format("blobs/uploads/?mount={}&from={}",
                                                   query_encoded(digest.text()),
                                                   query_encoded(from_repository)))),
      .scopes = {push_scope(repository), pull_scope(from_repository)}};
  const auto reply = TRY(impl_->exchange(call, request));
  if (reply.head.status == 201) {
    return std::optional<Upload>();
  }
  if (reply.head.status != 202) {
    return impl_->error_of(reply, request);
  }
  return std::optional(Upload{repository, TRY(impl_->location_of(reply, request.url)), 0});
}

Result<void> Client::patch(const Call& call, Upload& upload, base::BodySource& body) {
  const std::uint64_t bytes = body.size_bytes();
  if (bytes == 0) {
    return {};
  }
  const std::uint64_t end = upload.offset + bytes;
  const RegistryRequest request{
      .method = "PATCH",
      .url = upload.location,
      .scopes = {push_scope(upload.repository)},
      .headers = {{"Content-Type", "application/octet-stream"},
                  {"Content-Range", fmt::format("{}-{}", upload.offset, end - 1)}},
      .body = &body};
  const auto reply = TRY(impl_->exchange(call, request));
  switch (reply.head.status) {
    case 202:
    case 204:
      break;
    case 201:
    case 405:
    case 501:
      impl_->note({Lesson::What::kNoPatch, 0});
      return Error(Code::kUnsupported, fmt::format("{} takes a blob in one PUT only", host()));
    case 413:
      impl_->note({Lesson::What::kBodyTooLarge, bytes});
      return Error(Code::kConflict,
                   fmt::format("{} does not take {} bytes at once", host(), bytes));
    case 416:
      if (upload.offset == 0) {
        impl_->note({Lesson::What::kChunkTooLarge, bytes});
      }
      return elsewhere(upload, host(), stored_bytes(reply.head).value_or(0));
    default:
      return impl_->error_of(reply, request);
  }
  const auto stored = stored_bytes(reply.head);
  if (stored && *stored != end && end > 1) {
    return elsewhere({upload.repository, {}, end}, host(), *stored);
  }
  upload.location = TRY(impl_->location_of(reply, request.url));
  upload.offset = end;
  return {};
}

Result<void> Client::finish(const Call& call, const Upload& upload, const Digest& digest) {
  const RegistryRequest request{.method = "PUT",
                                .url = with_digest(upload.location, digest),
                                .scopes = {push_scope(upload.repository)},
                                .patient = true};
  return impl_->stored(TRY(impl_->exchange(call, request)), request, digest);
}

Result<void> Client::put_blob(const Call& call,
                              const Upload& upload,
                              const Digest& digest,
                              base::BodySource& body) {
  const bool empty = body.size_bytes() == 0;
  const RegistryRequest request{.method = "PUT",
                                .url = with_digest(upload.location, digest),
                                .scopes = {push_scope(upload.repository)},
                                .headers = {{"Content-Type", "application/octet-stream"}},
                                .body = empty ? nullptr : &body,
                                .patient = true};
  const auto reply = TRY(impl_->exchange(call, request));
  if (reply.head.status == 413) {
    impl_->note({Lesson::What::kBodyTooLarge, body.size_bytes()});
    return Error(Code::kConflict,
                 fmt::format("{} does not take {} bytes at once", host(), body.size_bytes()));
  }
  return impl_->stored(reply, request, digest);
}

Result<void> Client::resync(const Call& call, Upload& upload) {
  const RegistryRequest request{
      .method = "GET", .url = upload.location, .scopes = {push_scope(upload.repository)}};
  const auto reply = TRY(impl_->exchange(call, request));
  if (reply.head.status == 404) {
    impl_->note({Lesson::What::kLostUpload, 0});
  }
  if (reply.head.status != 204 && reply.head.status != 202) {
    return impl_->error_of(reply, request);
  }
  const auto stored = stored_bytes(reply.head);
  if (!stored) {
    return Error(Code::kCorrupt, fmt::format("{} does not say where the upload stands", host()));
  }
  if (*stored > upload.offset) {
    impl_->note({Lesson::What::kResumed, 0});
  }
  upload.offset = *stored;
  if (!reply.head.header("location").empty()) {
    upload.location = TRY(impl_->location_of(reply, request.url));
  }
  return {};
}

Result<void> Client::cancel(const Call& call, const Upload& upload) {
  const RegistryRequest request{
      .method = "DELETE", .url = upload.location, .scopes = {push_scope(upload.repository)}};
  const auto reply = TRY(impl_->exchange(call, request));
  const int status = reply.head.status;
  if (status != 204 && status != 202 && status != 200 && status != 404) {
    return impl_->error_of(reply, request);
  }
  return {};
}

}  // namespace weighbridge::registry
