#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/body_sink.h"
#include "base/call.h"
#include "base/range.h"
#include "base/result.h"
#include "net/http_client.h"
#include "registry/capabilities.h"
#include "registry/credentials.h"
#include "registry/manifest.h"
#include "registry/reference.h"
#include "registry/settings.h"

namespace weighbridge::base {
class BodySource;
}

namespace weighbridge::registry {

// A manifest as it came: `bytes` have this digest.
struct FetchedManifest {
  std::string media_type;
  Digest digest;
  std::string bytes;

  Descriptor descriptor() const { return {media_type, digest, bytes.size(), {}, {}}; }
};

// What became of a manifest that was put.
struct PutManifest {
  Digest digest;
  // It names a subject and the registry does not list referrers by itself:
  // add_to_referrers_tag() is called next.
  bool subject_needs_tag = false;
};

// An upload under way: where the next bytes go, and how many the registry has. A value that may be
// written down and taken up by another process. Thread-compatible.
struct Upload {
  std::string repository;
  std::string location;  // absolute; may hold a secret of the session: never printed
  std::uint64_t offset = 0;
};

// A registry of the distribution specification 1.1, one host. ONE try a call: no retry (transfer
// and the pusher own those), except that a 401 is answered with a renewed token, once. Everything
// that comes with a digest is checked against it. Redirects are followed; credentials stay with
// the registry and its token service. Thread-safe; each concurrent call uses a connection of its
// own.
//
// Errors name the host and what to do. kDenied: 401 and 403. kNotFound: no such repository,
// manifest, blob or upload. kInvalid: a name the registry refuses. kBusy: 429, with the time it
// asks for. kCorrupt: what came is not what its digest says, or not of this protocol. kExhausted:
// above a limit of ours or the registry's. kUnsupported: the registry cannot do it. And whatever
// net::HttpClient fails with. No error holds a credential.
class Client {
 public:
  struct Parts {
    std::string host;  // canonical_host()
    Settings settings;
    Capabilities capabilities;  // what is known at the beginning
    // Made from http_options(); all three outlive the client.
    net::HttpClient& http;
    net::HttpClient& patient_http;
    Credentials& credentials;
  };

  explicit Client(Parts parts);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  // What its calls stand on; for them alone.
  class Impl;

  const std::string& host() const;
  // Is it spoken to without TLS, so that a file's bytes may go from the page cache?
  bool is_plain() const;
  // What is known by now.
  Capabilities capabilities() const;
  // What `Warning` headers said since the last call, each once; the first 64.
  std::vector<std::string> take_warnings();

  // Is this a registry that lets us in? Learns its kind. kUnsupported: there is no /v2/.
  base::Result<void> ping(const base::Call& call);

  // Manifests. By digest: what comes has it, or kCorrupt; and so for the digest that the registry
  // itself announces of a tag. HEAD gives nothing where there is none. By tag, ask once and go on
  // by the digest: a tag may move.
  base::Result<std::optional<Descriptor>> head_manifest(const base::Call& call,
                                                        const std::string& repository,
                                                        const TagOrDigest& name);
  base::Result<FetchedManifest> get_manifest(const base::Call& call,
                                             const std::string& repository,
                                             const TagOrDigest& name);
  // kExhausted, before anything is sent, above the registry's limit. `name` as a digest must be
  // that of `bytes` (kInvalid).
  base::Result<PutManifest> put_manifest(const base::Call& call,
                                         const std::string& repository,
                                         const TagOrDigest& name,
                                         std::string_view media_type,
                                         std::string_view bytes);
  // False if there was none. By tag the registry may answer kUnsupported.
  base::Result<bool> delete_manifest(const base::Call& call,
                                     const std::string& repository,
                                     const TagOrDigest& name);

  // Blobs. The size, or nothing if there is none.
  base::Result<std::optional<std::uint64_t>> head_blob(const base::Call& call,
                                                       const std::string& repository,
                                                       const Digest& digest);
  // The bytes of `range` into `sink`, as net::HttpClient::get gives them: a range is not proved
  // here, its caller proves it. `blob.size` is held to. kUnsupported: the registry ignores ranges
  // and `range` does not begin at 0.
  base::Result<void> read_blob(const base::Call& call,
                               const std::string& repository,
                               const Descriptor& blob,
                               base::Range range,
                               base::BodySink& sink);
  // The whole blob into `sink`; kCorrupt at its end if it does not have the digest: who gave the
  // bytes on before the return takes them back.
  base::Result<void> read_whole_blob(const base::Call& call,
                                     const std::string& repository,
                                     const Descriptor& blob,
                                     base::BodySink& sink);
  // A small one (config, seal) in memory, checked. kExhausted above `limit_bytes`.
  base::Result<std::string> get_blob(const base::Call& call,
                                     const std::string& repository,
                                     const Descriptor& blob,
                                     std::uint64_t limit_bytes);
  base::Result<bool> delete_blob(const base::Call& call,
                                 const std::string& repository,
                                 const Digest& digest);

  // Uploads: begin (or mount), then patch() any number of times and finish(), or put_blob() alone.
  base::Result<Upload> begin_upload(const base::Call& call, const std::string& repository);
  // Nothing if the blob stands in `repository` now; else the upload that the registry began
  // instead.
  base::Result<std::optional<Upload>> mount(const base::Call& call,
                                            const std::string& repository,
                                            const Digest& digest,
                                            const std::string& from_repository);
  // Sends all of `body` at upload.offset and moves it on. After a failure the upload stands where
  // it stood before, and resync() says where the registry is. kUnsupported: it takes no PATCH
  // (remembered; the upload is spent). kConflict: another offset is wanted, or a smaller chunk
  // (remembered). kUnavailable also: the token ended under way and is renewed.
  base::Result<void> patch(const base::Call& call, Upload& upload, base::BodySource& body);
  // The PUT that ends an upload by PATCH. The registry may read the whole blob again: give it time.
  base::Result<void> finish(const base::Call& call, const Upload& upload, const Digest& digest);
  // The whole blob in one PUT; spends the upload.
  base::Result<void> put_blob(const base::Call& call,
                              const Upload& upload,
                              const Digest& digest,
                              base::BodySource& body);
  // Asks where the upload stands. kNotFound: it is gone, begin again.
  base::Result<void> resync(const base::Call& call, Upload& upload);
  // Lets the registry throw it away. Gone already is success.
  base::Result<void> cancel(const base::Call& call, const Upload& upload);

  // Lists, in the registry's order, all pages; kExhausted above 100,000 entries.
  base::Result<std::vector<std::string>> tags(const base::Call& call,
                                              const std::string& repository);
  base::Result<std::vector<std::string>> repositories(const base::Call& call);
  // What refers to `subject`, of that artifact type (empty: any), by the referrers API or by the
  // tag that stands in for it.
  base::Result<std::vector<Descriptor>> referrers(const base::Call& call,
                                                  const std::string& repository,
                                                  const Digest& subject,
                                                  std::string_view artifact_type = {});
  // Adds to, or takes from, the index under the tag of `subject`. Not atomic, the specification
  // has nothing better: who does so at the same time may lose an entry.
  base::Result<void> add_to_referrers_tag(const base::Call& call,
                                          const std::string& repository,
                                          const Digest& subject,
                                          const Descriptor& referrer);
  base::Result<void> remove_from_referrers_tag(const base::Call& call,
                                               const std::string& repository,
                                               const Digest& subject,
                                               const Digest& referrer);

 private:
  const std::unique_ptr<Impl> impl_;
};

// A registry that reads a blob again, or copies it, before it answers the final PUT is silent for
// as long as that takes.
inline constexpr std::chrono::minutes kPatience{15};

// How the HTTP client of that registry is made; the patient one bears kPatience of silence.
net::HttpClientOptions http_options(std::string_view host, const Settings& settings, bool patient);

// "sha256-<hex>": the tag under which referrers are listed where there is no API for them.
std::string referrers_tag(const Digest& subject);

}  // namespace weighbridge::registry
