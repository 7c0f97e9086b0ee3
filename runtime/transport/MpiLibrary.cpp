// SPDX-License-Identifier: Apache-2.0
//
// See MpiLibrary.h.

#include "runtime/transport/MpiLibrary.h"

#include "runtime/support/Error.h"

#include <cstdlib>

#include <dlfcn.h>

namespace hadal::rt {

static constexpr const char *kAdvice =
    "; install Open MPI (Debian: apt install openmpi-bin), or name its libmpi.so in "
    "HADAL_MPI_LIBRARY, or run ranks as threads with --local-ranks";

std::vector<std::string> MpiLibrary::usualNames() {
  const char *name = std::getenv("HADAL_MPI_LIBRARY");
  if (name && *name)
    return {name};
  return {"libmpi.so.40", "libmpi.so"};
}

std::string MpiLibrary::describe(int code) const {
  char text[1024] = {}; // MPI_MAX_ERROR_STRING is 256
  int length = 0;
  if (errorText(code, text, &length) != 0)
    return "error " + std::to_string(code);
  return std::string(text, std::size_t(length));
}

static void *openAny(const std::vector<std::string> &names) {
  std::string tried;
  for (const std::string &name : names) {
    // Global: the library's plug-ins look for its symbols.
    if (void *library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL))
      return library;
    tried += (tried.empty() ? "" : ", ") + name + " (" + ::dlerror() + ")";
  }
  throw InputError("MPI", "cannot be opened; tried " + tried + kAdvice);
}

MpiLibrary MpiLibrary::open(const std::vector<std::string> &names) {
  void *library = openAny(names);
  auto find = [&](auto &to, const char *symbol) {
    void *address = ::dlsym(library, symbol);
    if (!address)
      throw InputError("MPI", std::string("the library has no ") + symbol +
                                  ", so it is not Open MPI" + kAdvice);
    to = reinterpret_cast<std::remove_reference_t<decltype(to)>>(address);
  };
  MpiLibrary mpi;
  find(mpi.world, "ompi_mpi_comm_world");
  find(mpi.byte, "ompi_mpi_byte");
  find(mpi.errorsReturn, "ompi_mpi_errors_return");
  find(mpi.initThread, "MPI_Init_thread");
  find(mpi.finalize, "MPI_Finalize");
  find(mpi.rank, "MPI_Comm_rank");
  find(mpi.size, "MPI_Comm_size");
  find(mpi.setErrorHandler, "MPI_Comm_set_errhandler");
  find(mpi.send, "MPI_Isend");
  find(mpi.receive, "MPI_Irecv");
  find(mpi.test, "MPI_Test");
  find(mpi.cancel, "MPI_Cancel");
  find(mpi.count, "MPI_Get_count");
  find(mpi.errorText, "MPI_Error_string");
  find(mpi.version, "MPI_Get_library_version");
  return mpi;
}

} // namespace hadal::rt
