// SPDX-License-Identifier: Apache-2.0
//
// Ranks as processes that Open MPI started. The library is opened at run time.

#ifndef HADAL_RUNTIME_TRANSPORT_MPITRANSPORT_H
#define HADAL_RUNTIME_TRANSPORT_MPITRANSPORT_H

#include "runtime/transport/Transport.h"

namespace hadal::rt {

class MpiTransport : public Transport {
public:
  /// Opens the library and initialises it, once in a process. A message of more than `piece` bytes
  /// travels as several. Throws InputError when there is no usable library, or the library does
  /// not let several threads call it.
  static std::unique_ptr<MpiTransport> open(std::uint64_t piece = std::uint64_t(1) << 28);

  /// The orderly end; all ranks call it. Without it (after a failure) the process ends by _exit.
  virtual void finalize() = 0;

protected:
  using Transport::Transport;
};

} // namespace hadal::rt

#endif
