#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "registry/digest.h"
#include "sync/guarded.h"
#include "testing/http_server.h"

namespace weighbridge::registry::testing {

using weighbridge::testing::Fault;
using weighbridge::testing::Headers;
using weighbridge::testing::HttpRequest;
using weighbridge::testing::HttpServer;

// What a fake registry can do and how it refuses; strict where registries differ. A value.
struct FakeRules {
  enum class Auth : std::uint8_t { kNone, kBasic, kBearer };
  enum class Patch : std::uint8_t {
    kYes,
    kUnsupported,   // as GAR: 405
    kWholeInFirst,  // as ECR: 201 after the first
  };

  Auth auth = Auth::kNone;
  std::string user = "user";
  std::string password = "the-password";
  std::string identity_token;               // also taken, by POST
  std::optional<std::uint64_t> token_life;  // expires_in; absent: not said
  Patch patch = Patch::kYes;
  bool checks_offsets = true;              // 416 to a chunk that does not follow
  bool keeps_broken_patch = false;         // half of it; else the upload is gone
  bool put_whole = true;                   // else 500 to a PUT with a body
  bool rehashes = false;                   // as zot: the final PUT reads the blob again
  std::optional<std::uint64_t> min_chunk;  // announced
  std::optional<std::uint64_t> max_chunk;  // 416 above, as GHCR
  std::optional<std::uint64_t> max_body;   // 413 above, as Cloudflare
  std::uint64_t max_manifest = 4 * 1024 * 1024;
  bool ranges = true;
  bool lies_about_ranges = false;  // a Content-Range that is not what was asked for
  bool referrers = true;
  bool mounts = true;
  bool deletes = true;
  std::size_t page = 1000;        // of lists
  std::string blobs_redirect_to;  // another server's URL
  Headers headers;                // of every answer
};

// A registry of the distribution specification on loopback, in memory. Thread-safe.
class FakeRegistry {
 public:
  explicit FakeRegistry(FakeRules rules = {});
  FakeRegistry(const FakeRegistry&) = delete;
  FakeRegistry& operator=(const FakeRegistry&) = delete;
  ~FakeRegistry();

  // "127.0.0.1:PORT".
  std::string host() const;

  HttpServer& server() { return server_; }

  void put_blob(const std::string& repository, std::string bytes);
  void put_manifest(const std::string& repository,
                    const std::string& tag,
                    std::string media_type,
                    std::string bytes);
  std::optional<std::string> blob(const std::string& repository, const Digest& digest) const;
  // Instead of the bytes of that digest, from now on.
  void corrupt_blob(const std::string& repository, const Digest& digest, std::string bytes);

  // No token that was given until now is good any more.
  void expire_tokens();
  std::uint64_t tokens_given() const;
  std::uint64_t rehashed_bytes() const;
  std::size_t open_uploads() const;

  // The next request of that method is answered so, whatever it asks for.
  void answer_next(const std::string& method, Fault fault);
  // The connection breaks after half of the next PATCH.
  void break_next_patch();

 private:
  struct StoredManifest {
    std::string media_type;
    std::string bytes;
  };

  struct Repository {
    std::map<std::string, std::string, std::less<>> blobs;         // by digest
    std::map<std::string, StoredManifest, std::less<>> manifests;  // by digest
    std::map<std::string, std::string, std::less<>> tags;          // to digests
  };

  struct OpenUpload {
    std::string repository;
    std::string bytes;
    std::uint64_t step = 0;  // each Location is good for one request
  };

  struct State {
    std::map<std::string, Repository, std::less<>> repositories;
    std::map<std::string, OpenUpload, std::less<>> uploads;
    std::uint64_t uploads_begun = 0;
    std::uint64_t tokens = 0;
    std::uint64_t first_good_token = 1;
    std::map<std::uint64_t, std::set<std::string>> granted;  // scopes, by token
    std::uint64_t rehashed = 0;
    std::map<std::string, std::vector<Fault>> next;  // by method
    bool break_patch = false;
  };

  // "/v2/<repository>/<kind>/<name>".
  struct Target {
    std::string repository;
    std::string kind;  // "blobs", "uploads", "manifests", "tags", "referrers"
    std::string name;
  };

  Fault answer(const HttpRequest& request);
  Fault route(State& state, const HttpRequest& request);
  bool lets_in(const State& state, const HttpRequest& request, const Target& target) const;
  Fault challenge(const Target& target, const HttpRequest& request) const;
  Fault give_token(State& state, const HttpRequest& request) const;
  Fault blob_request(State& state, const HttpRequest& request, const Target& target) const;
  Fault manifest_request(State& state, const HttpRequest& request, const Target& target) const;
  Fault put_manifest_request(State& state, const HttpRequest& request, const Target& target) const;
  Fault begin_upload(State& state, const HttpRequest& request, const Target& target) const;
  Fault upload_request(State& state, const HttpRequest& request, const Target& target) const;
  Fault patch_upload(State& state,
                     const HttpRequest& request,
                     const Target& target,
                     OpenUpload& upload) const;
  Fault finish_upload(State& state,
                      const HttpRequest& request,
                      const Target& target,
                      OpenUpload& upload) const;
  Fault list(const HttpRequest& request,
             const std::string& member,
             const std::vector<std::string>& names) const;
  Fault referrers(State& state, const HttpRequest& request, const Target& target) const;
  Fault upload_place(const std::string& id, const OpenUpload& upload, int status) const;
  static Target parse_target(std::string_view path);

  const FakeRules rules_;
  sync::Guarded<State> state_;
  HttpServer server_;  // last: its threads use the rest
};

}  // namespace weighbridge::registry::testing
