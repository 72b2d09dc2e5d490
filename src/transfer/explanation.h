#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "model/proof.h"
#include "sources/source.h"
#include "transfer/hedge.h"
#include "transfer/pace.h"

namespace weighbridge::transfer {

// What a run chose, why, and where its time went. A value; Thread-compatible.
struct Explanation {
  // Summed over connections, so that four that wait for a second wait for four.
  struct Times {
    base::Duration answers{};  // from asking to the first byte
    base::Duration bytes{};    // from there on, waiting for the rest: the network or the disk
    base::Duration hash{};     // hashing, comparing and handing over what has come
    base::Duration memory{};   // until there was a place for it
    base::Duration turns{};    // until a connection was free
    base::Duration pauses{};   // between tries
  };

  base::Duration took{};
  bool adapts = false;  // an origin that is asked by more connections while that helps
  std::size_t start_connections = 0;
  std::size_t end_connections = 0;
  std::size_t peak_connections = 0;  // in use at once
  std::size_t most_connections = 0;  // that the source finds polite
  std::vector<Pace::Decision> decisions;
  std::uint64_t requests = 0;
  std::uint64_t retries = 0;
  std::uint64_t least_request_bytes = 0;
  std::uint64_t most_request_bytes = 0;
  std::uint64_t wanted_bytes = 0;
  std::uint64_t received_bytes = 0;
  Hedges::Counts hedges;
  Times times;
  std::map<model::Method, std::size_t> files;  // by how they were proved
  // Printable names. Of files that were not hashed, because this machine has hashed them before and
  // they still are what they were; and of those that were read for their hash tree first, and then
  // again: RunOptions::memory was too small to keep them until the whole was proved.
  std::vector<std::string> not_hashed;
  std::vector<std::string> read_twice;
  std::optional<sources::LocalReads> local_reads;  // if the files are local
  std::optional<std::string> proofs_note;          // LocalProofs::note()
};

}  // namespace weighbridge::transfer
