#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "device/host_memory.h"
#include "formats/safetensors.h"
#include "model/proof.h"
#include "model/tensor.h"

namespace weighbridge::loader {

// The file that tensors stand in, as all of them share it.
struct TensorFile {
  std::string path;  // in the Snapshot
  std::shared_ptr<const formats::SafetensorsTable> table;
};

// Neighbouring tensors that share memory, at most 64 MiB unless a single tensor is larger. Given
// back when the last of them is dropped. Thread-safe: it does not change.
class Slab {
 public:
  // The pages that a slab shares with its neighbours: slabs themselves, given back with the last of
  // those that share them.
  struct Edges {
    std::shared_ptr<const Slab> front;
    std::shared_ptr<const Slab> back;
  };

  // `memory`: null for tensors that have no bytes.
  Slab(std::shared_ptr<const TensorFile> file,
       std::shared_ptr<const device::HostRange> memory,
       base::Range part,
       Edges edges = {})
      : file_(std::move(file)), memory_(std::move(memory)), part_(part), edges_(std::move(edges)) {}

  // Of a mapped file: `mapping` is all that they stand in.
  Slab(std::shared_ptr<const TensorFile> file, std::shared_ptr<const void> mapping)
      : file_(std::move(file)), mapping_(std::move(mapping)) {}

  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  ~Slab() {
    if (memory_ != nullptr) {
      memory_->give_back(part_);
    }
  }

  const TensorFile& file() const { return *file_; }

 private:
  const std::shared_ptr<const TensorFile> file_;
  const std::shared_ptr<const device::HostRange> memory_;
  const base::Range part_;
  const Edges edges_;
  const std::shared_ptr<const void> mapping_;
};

// A tensor in host memory: a counted view of 32 bytes, as there may be a million. Its bytes are
// proved and stay where they are; they, the name and the shape stay valid while any copy of it
// lives, whatever happens to the Loader. Aligned as a mapping of its file would be.
// A value; Thread-compatible.
class Tensor {
 public:
  // `index`: in the table of the slab's file. `data`: where its bytes stand.
  Tensor(std::shared_ptr<const Slab> slab,
         std::size_t index,
         const std::byte* data,
         model::Proof proof)
      : slab_(std::move(slab)),
        data_(data),
        index_(static_cast<std::uint32_t>(index)),
        proof_(proof) {}

  std::string_view name() const { return entry().name; }

  model::Dtype dtype() const { return entry().dtype; }

  std::span<const std::uint64_t> shape() const { return entry().shape; }

  // Its path in the Snapshot.
  const std::string& file() const { return slab_->file().path; }

  model::Proof proof() const { return proof_; }

  // Row-major, little-endian.
  std::span<const std::byte> bytes() const {
    return {data_, slab_->file().table->tensors.bytes_of(index_).size()};
  }

 private:
  model::TensorEntry entry() const { return slab_->file().table->tensors[index_]; }

  std::shared_ptr<const Slab> slab_;
  const std::byte* data_;  // in the slab
  std::uint32_t index_;
  model::Proof proof_;
};

static_assert(sizeof(Tensor) == 32);

}  // namespace weighbridge::loader
