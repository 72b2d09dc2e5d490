#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "net/http_client.h"

namespace weighbridge::registry {

// What a registry answered with an error, in plain words and with what to do: by the
// specification's codes where the body holds them, else by the status. What the registry itself
// says of it is added, escaped and cut to 200 characters, unless it holds one of `secrets`.
base::Error answer_error(const net::HttpReply& reply,
                         std::string_view method,
                         std::string_view url,
                         std::span<const std::string> secrets = {});

// The first of the specification's codes in the body ("BLOB_UNKNOWN"), or empty.
std::string error_code_of(const net::HttpReply& reply);

}  // namespace weighbridge::registry
