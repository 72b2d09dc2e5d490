#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/body_source.h"
#include "net/url.h"
#include "registry/authorizer.h"
#include "registry/client.h"
#include "sync/guarded.h"

namespace weighbridge::registry {

// One request to a registry, before it has an Authorization. A value. Thread-compatible.
struct RegistryRequest {
  std::string method{};
  std::string url{};  // absolute
  Scopes scopes{};
  std::vector<net::HttpHeader> headers{};
  std::string_view text{};           // a body that may be sent again
  base::BodySource* body = nullptr;  // one that may not; instead of `text`
  std::size_t answer_limit = std::size_t{64} * 1024;
  bool patient = false;  // the registry may be silent for long before it answers
};

// What the calls of a client stand on: one exchange with its authorization, and what is learned
// from it. Thread-safe.
class Client::Impl {
 public:
  explicit Impl(Parts parts);

  // "https://host/v2/" and then `path`.
  std::string url(std::string_view path) const;
  // kInvalid unless it is of the grammar, so that nothing in it is taken for another path.
  base::Result<std::string> repository_url(const std::string& repository,
                                           std::string_view path) const;

  // Sends it, following redirects where there is no body to lose; a 401 is answered once.
  base::Result<net::HttpReply> exchange(const base::Call& call, const RegistryRequest& request);
  // The body of a blob into `sink`, likewise.
  base::Result<net::HttpHead> get(const base::Call& call,
                                  net::HttpGet request,
                                  const Scopes& scopes,
                                  base::BodySink& sink);

  // The reply as an error, without anything that was secret.
  base::Error error_of(const net::HttpReply& reply, const RegistryRequest& request) const;

  // Where an upload goes on: Location, resolved; kCorrupt if the reply has none that can be used.
  base::Result<std::string> location_of(const net::HttpReply& reply,
                                        const std::string& requested) const;

  // What a DELETE came to: false if there was nothing.
  base::Result<bool> removed(const base::Call& call, const RegistryRequest& request);
  // What a PUT of a blob came to: 201, under this digest.
  base::Result<void> stored(const net::HttpReply& reply,
                            const RegistryRequest& request,
                            const Digest& digest) const;

  void note(const Lesson& lesson);

  const Parts& parts() const { return parts_; }

  bool is_plain() const { return base_url_.starts_with("http://"); }

  Capabilities capabilities() const;
  std::vector<std::string> take_warnings();

 private:
  struct Learned {
    Capabilities capabilities;
    bool kind_known = false;
  };

  struct Warnings {
    std::vector<std::string> untold;
    std::set<std::string, std::less<>> heard;
  };

  net::HttpClient& http(const RegistryRequest& request) const;
  bool is_ours(std::string_view url) const;
  // With `authorization`, if that is not empty, and the user's own headers.
  std::vector<net::HttpHeader> credentials(const std::string& authorization) const;
  base::Result<net::HttpReply> send(const base::Call& call,
                                    const RegistryRequest& request,
                                    const std::string& authorization);
  void listen(const net::HttpHead& head);
  // What the user says holds, whatever is learned.
  void let_user_decide(Capabilities& known) const;

  const Parts parts_;
  const std::string base_url_;
  const std::string origin_;
  Authorizer authorizer_;
  sync::Guarded<Learned> learned_;
  sync::Guarded<Warnings> warnings_;
};

}  // namespace weighbridge::registry
