#include "registry/testing/fake_registry.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.h"
#include "net/http_fields.h"
#include "registry/manifest.h"

namespace weighbridge::registry::testing {
namespace {

using weighbridge::testing::make_object;

Fault status(int code) {
  Fault fault;
  fault.status = code;
  return fault;
}

Fault refusal(int code, std::string_view name) {
  Fault fault = status(code);
  fault.object = make_object(
      fmt::format(R"({{"errors":[{{"code":"{}","message":"fake: {}"}}]}})", name, name));
  return fault;
}

std::string decoded(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::byte byte{};
    if (text[i] == '%' && base::from_hex(text.substr(i + 1, 2), {&byte, 1})) {
      plain += std::to_integer<char>(byte);
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::vector<std::string> parameters(std::string_view query, std::string_view name) {
  std::vector<std::string> values;
  for (const std::string_view pair : base::split(query, '&')) {
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == name) {
      values.push_back(decoded(pair.substr(equals + 1)));
    }
  }
  return values;
}

std::string parameter(std::string_view query, std::string_view name) {
  const auto values = parameters(query, name);
  return values.empty() ? std::string() : values.front();
}

bool may(const std::set<std::string>& granted,
         std::string_view repository,
         std::string_view action) {
  return std::any_of(granted.begin(), granted.end(), [&](const std::string& scope) {
    const auto parts = base::split(scope, ':');
    if (parts.size() != 3 || parts[1] != repository) {
      return false;
    }
    const auto actions = base::split(parts[2], ',');
    return std::find(actions.begin(), actions.end(), action) != actions.end();
  });
}

std::string_view action_of(const HttpRequest& request) {
  if (request.method == "DELETE" && request.path.find("/uploads/") == std::string::npos) {
    return "delete";
  }
  return request.method == "GET" || request.method == "HEAD" ? "pull" : "push";
}

}  // namespace

FakeRegistry::FakeRegistry(FakeRules rules)
    : rules_(std::move(rules)),
      server_([this](const HttpRequest& request) { return answer(request); }) {}

FakeRegistry::~FakeRegistry() = default;

std::string FakeRegistry::host() const {
  return fmt::format("127.0.0.1:{}", server_.port());
}

void FakeRegistry::put_blob(const std::string& repository, std::string bytes) {
  const Digest digest = Digest::of(std::string_view(bytes));
  corrupt_blob(repository, digest, std::move(bytes));
}

void FakeRegistry::corrupt_blob(const std::string& repository,
                                const Digest& digest,
                                std::string bytes) {
  state_.with([&](State& state) {
    state.repositories[repository].blobs.insert_or_assign(digest.text(), std::move(bytes));
  });
}

void FakeRegistry::put_manifest(const std::string& repository,
                                const std::string& tag,
                                std::string media_type,
                                std::string bytes) {
  const std::string digest = Digest::of(std::string_view(bytes)).text();
  state_.with([&](State& state) {
    Repository& into = state.repositories[repository];
    into.manifests.insert_or_assign(digest, StoredManifest{media_type, bytes});
    into.tags.insert_or_assign(tag, digest);
  });
}

std::optional<std::string> FakeRegistry::blob(const std::string& repository,
                                              const Digest& digest) const {
  return state_.with([&](const State& state) -> std::optional<std::string> {
    const auto in = state.repositories.find(repository);
    if (in == state.repositories.end()) {
      return std::nullopt;
    }
    const auto found = in->second.blobs.find(digest.text());
    return found == in->second.blobs.end() ? std::nullopt : std::optional(found->second);
  });
}

void FakeRegistry::expire_tokens() {
  state_.with([](State& state) { state.first_good_token = state.tokens + 1; });
}

std::uint64_t FakeRegistry::tokens_given() const {
  return state_.with([](const State& state) { return state.tokens; });
}

std::uint64_t FakeRegistry::rehashed_bytes() const {
  return state_.with([](const State& state) { return state.rehashed; });
}

std::size_t FakeRegistry::open_uploads() const {
  return state_.with([](const State& state) { return state.uploads.size(); });
}

void FakeRegistry::answer_next(const std::string& method, Fault fault) {
  state_.with([&](State& state) { state.next[method].push_back(std::move(fault)); });
}

void FakeRegistry::break_next_patch() {
  state_.with([](State& state) { state.break_patch = true; });
}

Fault FakeRegistry::answer(const HttpRequest& request) {
  return state_.with([&](State& state) {
    auto& next = state.next[request.method];
    if (!next.empty() && request.path != "/token") {
      Fault fault = std::move(next.front());
      next.erase(next.begin());
      return fault;
    }
    Fault fault = route(state, request);
    fault.headers.insert(fault.headers.end(), rules_.headers.begin(), rules_.headers.end());
    return fault;
  });
}

FakeRegistry::Target FakeRegistry::parse_target(std::string_view path) {
  constexpr std::string_view kRoot = "/v2/";
  path.remove_prefix(std::min(path.size(), kRoot.size()));
  for (const auto& [mark, kind] :
       std::vector<std::pair<std::string_view, std::string_view>>{{"/blobs/uploads/", "uploads"},
                                                                  {"/blobs/", "blobs"},
                                                                  {"/manifests/", "manifests"},
                                                                  {"/tags/", "tags"},
                                                                  {"/referrers/", "referrers"}}) {
    const std::size_t at = path.find(mark);
    if (at != std::string_view::npos) {
      return {std::string(path.substr(0, at)),
              std::string(kind),
              std::string(path.substr(at + mark.size()))};
    }
  }
  return {{}, std::string(path), {}};
}

Fault FakeRegistry::route(State& state, const HttpRequest& request) {
  if (request.path == "/token") {
    return give_token(state, request);
  }
  if (!request.path.starts_with("/v2/")) {
    return status(404);
  }
  const Target target = parse_target(request.path);
  if (!lets_in(state, request, target)) {
    return challenge(target, request);
  }
  if (rules_.max_body && request.body.size() > *rules_.max_body) {
    return status(413);
  }
  if (target.kind.empty()) {
    Fault fault;
    fault.object = make_object("{}");
    return fault;
  }
  if (target.kind == "_catalog") {
    std::vector<std::string> names;
    for (const auto& [name, repository] : state.repositories) {
      names.push_back(name);
    }
    return list(request, "repositories", names);
  }
  if (target.kind == "tags") {
    const auto found = state.repositories.find(target.repository);
    if (found == state.repositories.end()) {
      return refusal(404, "NAME_UNKNOWN");
    }
    std::vector<std::string> names;
    for (const auto& [tag, digest] : found->second.tags) {
      names.push_back(tag);
    }
    return list(request, "tags", names);
  }
  if (target.kind == "blobs") {
    return blob_request(state, request, target);
  }
  if (target.kind == "manifests") {
    return manifest_request(state, request, target);
  }
  if (target.kind == "referrers") {
    return referrers(state, request, target);
  }
  return target.name.empty() ? begin_upload(state, request, target)
                             : upload_request(state, request, target);
}

bool FakeRegistry::lets_in(const State& state,
                           const HttpRequest& request,
                           const Target& target) const {
  const std::string_view authorization = request.header("authorization");
  if (rules_.auth == FakeRules::Auth::kNone) {
    return true;
  }
  if (rules_.auth == FakeRules::Auth::kBasic) {
    return authorization == "Basic " + net::basic_credentials(rules_.user, rules_.password);
  }
  constexpr std::string_view kToken = "Bearer secret-token-";
  if (!authorization.starts_with(kToken)) {
    return false;
  }
  const auto number = base::parse_decimal(authorization.substr(kToken.size()));
  const auto found = number ? state.granted.find(*number) : state.granted.end();
  if (found == state.granted.end() || *number < state.first_good_token) {
    return false;
  }
  return target.repository.empty() || may(found->second, target.repository, action_of(request));
}

Fault FakeRegistry::challenge(const Target& target, const HttpRequest& request) const {
  Fault fault = refusal(401, "UNAUTHORIZED");
  if (rules_.auth == FakeRules::Auth::kBasic) {
    fault.headers = {{"WWW-Authenticate", R"(Basic realm="fake")"}};
  } else {
    fault.headers = {{"WWW-Authenticate",
                      fmt::format(R"(Bearer realm="{}",service="fake",scope="repository:{}:{}")",
                                  server_.url("/token"),
                                  target.repository,
                                  action_of(request))}};
  }
  return fault;
}

Fault FakeRegistry::give_token(State& state, const HttpRequest& request) const {
  const bool posted = request.method == "POST";
  const std::string_view query = posted ? request.body : request.query;
  const bool known = posted ? !rules_.identity_token.empty() &&
                                  parameter(query, "refresh_token") == rules_.identity_token
                            : request.header("authorization") ==
                                  "Basic " + net::basic_credentials(rules_.user, rules_.password);
  if (!known || parameter(query, "service") != "fake") {
    return refusal(401, "UNAUTHORIZED");
  }
  const std::uint64_t token = ++state.tokens;
  for (const std::string& scopes : parameters(query, "scope")) {
    for (const std::string_view scope : base::split(scopes, ' ')) {
      state.granted[token].emplace(scope);
    }
  }
  state.granted[token];
  const std::string life =
      rules_.token_life ? fmt::format(R"(,"expires_in":{})", *rules_.token_life) : "";
  Fault fault;
  fault.status = 200;
  fault.object = make_object(fmt::format(R"({{"token":"secret-token-{}"{}}})", token, life));
  return fault;
}

Fault FakeRegistry::blob_request(State& state,
                                 const HttpRequest& request,
                                 const Target& target) const {
  auto& blobs = state.repositories[target.repository].blobs;
  const auto found = blobs.find(target.name);
  if (found == blobs.end()) {
    return refusal(404, "BLOB_UNKNOWN");
  }
  if (request.method == "DELETE") {
    if (!rules_.deletes) {
      return refusal(405, "UNSUPPORTED");
    }
    blobs.erase(found);
    return status(202);
  }
  if (!rules_.blobs_redirect_to.empty()) {
    return weighbridge::testing::redirect_to(rules_.blobs_redirect_to, 307);
  }
  Fault fault;
  fault.object = make_object(found->second);
  fault.ignore_range = !rules_.ranges;
  fault.headers = {{"Docker-Content-Digest", target.name}};
  if (rules_.lies_about_ranges && request.range) {
    fault.headers.emplace_back(
        "Content-Range",
        fmt::format("bytes 0-{}/{}", request.range->size() - 1, found->second.size()));
  }
  return fault;
}

Fault FakeRegistry::manifest_request(State& state,
                                     const HttpRequest& request,
                                     const Target& target) const {
  if (request.method == "PUT") {
    return put_manifest_request(state, request, target);
  }
  Repository& in = state.repositories[target.repository];
  const auto tag = in.tags.find(target.name);
  const auto found = in.manifests.find(tag == in.tags.end() ? target.name : tag->second);
  if (found == in.manifests.end()) {
    return refusal(404, "MANIFEST_UNKNOWN");
  }
  if (request.method == "DELETE") {
    if (!rules_.deletes) {
      return refusal(405, "UNSUPPORTED");
    }
    if (tag != in.tags.end()) {
      in.tags.erase(tag);
      return status(202);
    }
    std::erase_if(in.tags, [&](const auto& entry) { return entry.second == found->first; });
    in.manifests.erase(found);
    return status(202);
  }
  Fault fault;
  fault.object = make_object(found->second.bytes);
  fault.headers = {{"Docker-Content-Digest", found->first},
                   {"Content-Type", found->second.media_type}};
  return fault;
}

Fault FakeRegistry::put_manifest_request(State& state,
                                         const HttpRequest& request,
                                         const Target& target) const {
  if (request.body.size() > rules_.max_manifest) {
    return status(413);
  }
  Repository& in = state.repositories[target.repository];
  const auto parsed = parse_manifest_or_index(request.body, request.header("content-type"));
  if (!parsed.ok()) {
    return refusal(400, "MANIFEST_INVALID");
  }
  if (const auto* const manifest = std::get_if<Manifest>(&parsed.value())) {
    for (const Descriptor& layer : manifest->layers) {
      if (!in.blobs.contains(layer.digest.text())) {
        return refusal(404, "MANIFEST_BLOB_UNKNOWN");
      }
    }
  }
  const std::string digest = Digest::of(std::string_view(request.body)).text();
  in.manifests.insert_or_assign(
      digest, StoredManifest{std::string(request.header("content-type")), request.body});
  if (target.name.find(':') == std::string::npos) {
    in.tags.insert_or_assign(target.name, digest);
  }
  Fault fault = status(201);
  fault.headers = {{"Docker-Content-Digest", digest}};
  const auto subject = std::visit([](const auto& value) { return value.subject; }, parsed.value());
  if (subject && rules_.referrers) {
    fault.headers.emplace_back("OCI-Subject", subject->digest.text());
  }
  return fault;
}

Fault FakeRegistry::upload_place(const std::string& id, const OpenUpload& upload, int code) const {
  Fault fault = status(code);
  // Relative, with a query that means something to this registry alone.
  fault.headers = {
      {"Location",
       fmt::format("/v2/{}/blobs/uploads/{}?_state={}", upload.repository, id, upload.step)},
      {"Range", fmt::format("0-{}", std::max<std::size_t>(upload.bytes.size(), 1) - 1)}};
  if (rules_.min_chunk) {
    fault.headers.emplace_back("OCI-Chunk-Min-Length", std::to_string(*rules_.min_chunk));
  }
  return fault;
}

Fault FakeRegistry::begin_upload(State& state,
                                 const HttpRequest& request,
                                 const Target& target) const {
  const std::string mount = parameter(request.query, "mount");
  const std::string from = parameter(request.query, "from");
  if (rules_.mounts && !mount.empty()) {
    const auto source = state.repositories[from].blobs.find(mount);
    if (source != state.repositories[from].blobs.end()) {
      state.repositories[target.repository].blobs.insert_or_assign(mount, source->second);
      return status(201);
    }
  }
  const std::string id = fmt::format("upload-{}", ++state.uploads_begun);
  OpenUpload& upload = state.uploads[id];
  upload.repository = target.repository;
  return upload_place(id, upload, 202);
}

Fault FakeRegistry::upload_request(State& state,
                                   const HttpRequest& request,
                                   const Target& target) const {
  const auto found = state.uploads.find(target.name);
  if (found == state.uploads.end()) {
    return refusal(404, "BLOB_UPLOAD_UNKNOWN");
  }
  OpenUpload& upload = found->second;
  // Who asks where it stands may hold the Location of a step that was lost.
  if (request.method == "GET") {
    return upload_place(target.name, upload, 204);
  }
  if (request.method == "DELETE") {
    state.uploads.erase(found);
    return status(204);
  }
  if (parameter(request.query, "_state") != std::to_string(upload.step)) {
    state.uploads.erase(found);
    return refusal(404, "BLOB_UPLOAD_INVALID");
  }
  return request.method == "PATCH" ? patch_upload(state, request, target, upload)
                                   : finish_upload(state, request, target, upload);
}

Fault FakeRegistry::patch_upload(State& state,
                                 const HttpRequest& request,
                                 const Target& target,
                                 OpenUpload& upload) const {
  if (rules_.patch == FakeRules::Patch::kUnsupported) {
    return refusal(405, "UNSUPPORTED");
  }
  if (state.break_patch) {
    state.break_patch = false;
    upload.bytes += request.body.substr(0, request.body.size() / 2);
    ++upload.step;
    if (!rules_.keeps_broken_patch) {
      state.uploads.erase(target.name);
    }
    Fault fault;
    fault.hang_up = true;
    return fault;
  }
  const std::string follows =
      fmt::format("{}-{}", upload.bytes.size(), upload.bytes.size() + request.body.size() - 1);
  const std::string_view said = request.header("content-range");
  const bool misplaced = rules_.checks_offsets && !said.empty() && said != follows;
  if (misplaced || (rules_.max_chunk && request.body.size() > *rules_.max_chunk)) {
    return upload_place(target.name, upload, 416);
  }
  upload.bytes += request.body;
  ++upload.step;
  const bool whole = rules_.patch == FakeRules::Patch::kWholeInFirst;
  return upload_place(target.name, upload, whole ? 201 : 202);
}

Fault FakeRegistry::finish_upload(State& state,
                                  const HttpRequest& request,
                                  const Target& target,
                                  OpenUpload& upload) const {
  if (!request.body.empty() && !rules_.put_whole) {
    return status(500);
  }
  const auto digest = Digest::parse(parameter(request.query, "digest"));
  if (!digest.ok()) {
    return refusal(400, "DIGEST_INVALID");
  }
  state.rehashed += rules_.rehashes ? upload.bytes.size() : 0;
  std::string bytes = upload.bytes + request.body;
  state.uploads.erase(target.name);
  Digester digester(digest->algorithm());
  digester.update(std::as_bytes(std::span(bytes)));
  if (digester.finish() != digest.value()) {
    return refusal(400, "DIGEST_INVALID");
  }
  state.repositories[target.repository].blobs.insert_or_assign(digest->text(), std::move(bytes));
  Fault fault = status(201);
  fault.headers = {{"Docker-Content-Digest", digest->text()}};
  return fault;
}

Fault FakeRegistry::list(const HttpRequest& request,
                         const std::string& member,
                         const std::vector<std::string>& names) const {
  const std::string last = parameter(request.query, "last");
  std::string entries;
  std::size_t listed = 0;
  Fault fault;
  for (const std::string& name : names) {
    if (name <= last) {
      continue;
    }
    entries += fmt::format("{}\"{}\"", listed == 0 ? "" : ",", name);
    if (++listed == rules_.page && name != names.back()) {
      fault.headers = {
          {"Link", fmt::format("<{}?n={}&last={}>; rel=\"next\"", request.path, listed, name)}};
      break;
    }
  }
  fault.object = make_object(fmt::format(R"({{"{}":[{}]}})", member, entries));
  return fault;
}

Fault FakeRegistry::referrers(State& state,
                              const HttpRequest& /*request*/,
                              const Target& target) const {
  if (!rules_.referrers) {
    return status(404);
  }
  Index index;
  for (const auto& [digest, stored] : state.repositories[target.repository].manifests) {
    const auto parsed = parse_manifest(stored.bytes, stored.media_type);
    if (parsed.ok() && parsed->subject && parsed->subject->digest.text() == target.name) {
      Descriptor entry = describe(stored.media_type, stored.bytes);
      entry.artifact_type = parsed->artifact_type;
      index.manifests.push_back(entry);
    }
  }
  Fault fault;
  fault.object = make_object(write_index(index));
  fault.headers = {{"Content-Type", std::string(kIndexType)}};
  return fault;
}

}  // namespace weighbridge::registry::testing
