#include "transfer/local_proofs.h"

#include <algorithm>

#include "hash/hash_tree.h"

namespace weighbridge::transfer {
namespace {

bool is_same_file(const io::FileInfo& a, const io::FileInfo& b) {
  return a.device == b.device && a.inode == b.inode && a.size == b.size &&
         a.mtime_ns == b.mtime_ns && a.ctime_ns == b.ctime_ns;
}

// Is what was hashed what the file must be, as far as anybody says what that is?
bool agrees(const store::HashedFile& hashed, const model::File& file) {
  switch (file.method()) {
    case model::Method::kPieces:
    case model::Method::kRoot:
      return hashed.root == file.root;
    case model::Method::kSha256:
      return hashed.sha256 == file.sha256;
    case model::Method::kNothing:
      return true;
  }
  return false;
}

store::HashedFile hashed_file(std::uint64_t size, std::vector<hash::ChainingValue> pieces) {
  store::HashedFile hashed;
  hashed.size = size;
  if (hash::piece_count(size) == 1) {
    hashed.root = hash::Root{pieces.front().bytes};
    return hashed;
  }
  hashed.root = hash::merge_pieces(pieces);
  hashed.pieces = std::move(pieces);
  return hashed;
}

}  // namespace

std::optional<LocalProofs::Met> LocalProofs::meet(const base::Call& call,
                                                  sources::Source& source,
                                                  const model::File& file,
                                                  bool hash_it) {
  const base::WallTime now = call.clock().wall_now();
  auto local = source.local(call, file.path);
  // What is wrong with the file its reading will say.
  if (!local.ok() || !*local || (*local)->info.size != file.size ||
      (!file.validator.etag.empty() && (*local)->validator != file.validator)) {
    return std::nullopt;
  }
  Met met{**local, now, {}, false};
  if (!hash_always_ && !hash_it) {
    met.known = look_up(met.file.info, file);
  }
  if (!met.known) {
    const auto tells = source.tells_changes(call, file.path, met.file);
    met.may_be_remembered = tells.ok() && *tells;
  }
  return met;
}

std::optional<store::HashedFile> LocalProofs::look_up(const io::FileInfo& info,
                                                      const model::File& file) {
  auto known = proofs_.find(info);
  if (!known.ok()) {
    take_note(known.error());
    return std::nullopt;
  }
  return *known && agrees(**known, file) ? std::move(*known) : std::nullopt;
}

void LocalProofs::hashed(const Met& met, std::uint64_t piece, const hash::ChainingValue& value) {
  if (!met.may_be_remembered) {
    return;
  }
  state_.with([&](State& state) { take(state, met, piece, value); });
}

void LocalProofs::take(State& state,
                       const Met& met,
                       std::uint64_t piece,
                       hash::ChainingValue value) {
  const io::FileInfo& info = met.file.info;
  const std::uint64_t count = hash::piece_count(info.size);
  const auto [place, is_new] = state.seen.try_emplace({info.device, info.inode});
  Seen& seen = place->second;
  if (!is_new && !is_same_file(seen.info, info)) {
    state.pieces -= seen.pieces.size();
    seen = {};
  }
  if (seen.pieces.empty()) {
    if (count > kMaxPieces - state.pieces) {
      state.seen.erase(place);
      return;
    }
    seen = {info, met.when, {}, count};
    seen.pieces.resize(count);
    state.pieces += count;
  }
  seen.since = std::min(seen.since, met.when);
  seen.missing -= seen.pieces[piece] ? 0 : 1;
  seen.pieces[piece] = value;
  if (seen.missing > 0) {
    return;
  }
  std::vector<hash::ChainingValue> pieces;
  for (const auto& one : seen.pieces) {
    pieces.push_back(*one);
  }
  state.whole.push_back({info, seen.since, hashed_file(info.size, std::move(pieces))});
  state.pieces -= count;
  state.seen.erase(place);
}

void LocalProofs::hashed_whole(const Met& met,
                               const std::vector<hash::ChainingValue>& pieces,
                               const hash::Sha256Digest& sha256) {
  if (!met.may_be_remembered) {
    return;
  }
  store::HashedFile hashed = hashed_file(met.file.info.size, pieces);
  hashed.sha256 = sha256;
  state_.with([&](State& state) {
    state.whole.push_back({met.file.info, met.when, std::move(hashed)});
  });
}

void LocalProofs::remember() {
  const auto whole = state_.with([](State& state) { return std::exchange(state.whole, {}); });
  for (const Whole& one : whole) {
    const auto known = proofs_.find(one.info);
    // Written once; but a SHA-256 that was not known then is worth writing again.
    if (known.ok() && *known && (*known)->root == one.hashed.root &&
        ((*known)->sha256 || !one.hashed.sha256)) {
      continue;
    }
    const auto remembered = proofs_.remember(one.info, one.since, one.hashed);
    if (!remembered.ok()) {
      take_note(remembered.error());
    }
  }
}

void LocalProofs::take_note(const base::Error& error) {
  note_.with([&](std::optional<std::string>& note) { note = error.message(); });
}

}  // namespace weighbridge::transfer
