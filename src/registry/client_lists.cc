#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "base/text.h"
#include "registry/answer_error.h"
#include "registry/client.h"
#include "registry/client_impl.h"
#include "registry/link.h"

namespace weighbridge::registry {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::JsonValue;
using base::Result;

constexpr std::size_t kMaxListed = 100'000;
constexpr std::size_t kMaxPages = 10'000;
constexpr std::size_t kPageBytes = std::size_t{16} * 1024 * 1024;
constexpr std::size_t kAskedPage = 1000;

Error too_many() {
  return {Code::kExhausted, fmt::format("the list has more than {} entries", kMaxListed)};
}

// The strings of one member, each of which `is_right` of.
Result<void> read_names(std::string_view body,
                        std::string_view member,
                        bool (*is_right)(std::string_view),
                        std::vector<std::string>& names) {
  const auto document = TRY(base::JsonDocument::parse(body));
  const auto read_name = [&](const JsonValue& value) -> Result<void> {
    const std::string_view name = TRY(value.as_string());
    if (!is_right(name)) {
      return Error(Code::kCorrupt,
                   fmt::format("the list holds the malformed name '{}'", base::printable(name)));
    }
    if (names.size() == kMaxListed) {
      return too_many();
    }
    names.emplace_back(name);
    return {};
  };
  const auto read_member = [&](std::string_view key, const JsonValue& value) -> Result<void> {
    return key == member && !value.is_null() ? value.each_element(read_name) : Result<void>();
  };
  auto read = document.root().each_member(read_member);
  return read.ok() || read.error().code() != Code::kInvalid
             ? std::move(read)
             : Result<void>(std::move(read).error().with_code(Code::kCorrupt).context("a list"));
}

// Page after page, as `Link` names the next.
template <typename Read>
Result<void> read_pages(const Call& call,
                        Client::Impl& impl,
                        RegistryRequest request,
                        Read&& read) {
  request.method = "GET";
  request.answer_limit = kPageBytes;
  for (std::size_t page = 0; page < kMaxPages; ++page) {
    const auto reply = TRY(impl.exchange(call, request));
    if (reply.head.status != 200) {
      return impl.error_of(reply, request);
    }
    if (!reply.body_complete) {
      return Error(Code::kUnavailable, "the list broke off");
    }
    TRY(read(reply));
    const auto next = next_page(reply.head, request.url);
    if (!next) {
      return {};
    }
    request.url = *next;
  }
  return too_many();
}

bool is_any_referrer(const Descriptor& descriptor, std::string_view artifact_type) {
  return artifact_type.empty() || descriptor.artifact_type == artifact_type;
}

Result<Index> read_index(std::string_view bytes, std::string_view media_type) {
  auto parsed = TRY(parse_manifest_or_index(bytes, media_type));
  if (auto* const index = std::get_if<Index>(&parsed)) {
    return std::move(*index);
  }
  return Error(Code::kCorrupt, "a list of referrers that is no index");
}

// The index under the tag; an empty one if there is none yet.
Result<Index> fetch_tagged_index(const Call& call,
                                 Client& client,
                                 const std::string& repository,
                                 const Digest& subject) {
  const auto fetched = client.get_manifest(call, repository, referrers_tag(subject));
  if (!fetched.ok()) {
    return fetched.error().code() == Code::kNotFound ? Result<Index>(Index{})
                                                     : Result<Index>(fetched.error().copy());
  }
  return read_index(fetched->bytes, fetched->media_type);
}

}  // namespace

std::string referrers_tag(const Digest& subject) {
  const std::string_view text = subject.text();
  const std::string algorithm(text.substr(0, text.find(':')));
  return fmt::format("{}-{}", algorithm, subject.hex().substr(0, 64));
}

Result<std::vector<std::string>> Client::tags(const Call& call, const std::string& repository) {
  RegistryRequest request;
  request.url = TRY(impl_->repository_url(repository, fmt::format("tags/list?n={}", kAskedPage)));
  request.scopes = {pull_scope(repository)};
  std::vector<std::string> tags;
  TRY(read_pages(call, *impl_, std::move(request), [&](const net::HttpReply& reply) {
    return read_names(reply.body, "tags", is_tag, tags);
  }));
  return tags;
}

Result<std::vector<std::string>> Client::repositories(const Call& call) {
  RegistryRequest request;
  request.url = impl_->url(fmt::format("_catalog?n={}", kAskedPage));
  request.scopes = {"registry:catalog:*"};
  std::vector<std::string> names;
  TRY(read_pages(call, *impl_, std::move(request), [&](const net::HttpReply& reply) {
    return read_names(reply.body, "repositories", is_repository, names);
  }));
  return names;
}

Result<std::vector<Descriptor>> Client::referrers(const Call& call,
                                                  const std::string& repository,
                                                  const Digest& subject,
                                                  std::string_view artifact_type) {
  std::vector<Descriptor> found;
  const auto take = [&](Index index) -> Result<void> {
    for (Descriptor& referrer : index.manifests) {
      if (found.size() == kMaxListed) {
        return too_many();
      }
      // Asked for or not, a registry may leave the choosing to us.
      if (is_any_referrer(referrer, artifact_type)) {
        found.push_back(std::move(referrer));
      }
    }
    return {};
  };
  if (capabilities().referrers) {
    RegistryRequest request;
    const std::string filter =
        artifact_type.empty() ? "" : "?artifactType=" + query_encoded(artifact_type);
    request.url = TRY(impl_->repository_url(repository, "referrers/" + subject.text() + filter));
    request.scopes = {pull_scope(repository)};
    auto read = read_pages(call, *impl_, std::move(request), [&](const net::HttpReply& reply) {
      auto index = read_index(reply.body, reply.head.header("content-type"));
      return index.ok() ? take(std::move(index).value()) : Result<void>(std::move(index).error());
    });
    if (read.ok()) {
      return found;
    }
    if (read.error().code() != Code::kNotFound) {
      return std::move(read).error();
    }
    impl_->note({Lesson::What::kNoReferrers, 0});
  }
  TRY(take(TRY(fetch_tagged_index(call, *this, repository, subject))));
  return found;
}

Result<void> Client::add_to_referrers_tag(const Call& call,
                                          const std::string& repository,
                                          const Digest& subject,
                                          const Descriptor& referrer) {
  Index index = TRY(fetch_tagged_index(call, *this, repository, subject));
  const bool there =
      std::any_of(index.manifests.begin(), index.manifests.end(), [&](const Descriptor& known) {
        return known.digest == referrer.digest;
      });
  if (there) {
    return {};
  }
  index.manifests.push_back(referrer);
  TRY(put_manifest(call, repository, referrers_tag(subject), index.media_type, write_index(index)));
  return {};
}

Result<void> Client::remove_from_referrers_tag(const Call& call,
                                               const std::string& repository,
                                               const Digest& subject,
                                               const Digest& referrer) {
  Index index = TRY(fetch_tagged_index(call, *this, repository, subject));
  const std::size_t removed = std::erase_if(
      index.manifests, [&](const Descriptor& known) { return known.digest == referrer; });
  if (removed == 0) {
    return {};
  }
  TRY(put_manifest(call, repository, referrers_tag(subject), index.media_type, write_index(index)));
  return {};
}

}  // namespace weighbridge::registry
