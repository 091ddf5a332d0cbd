// syncfs(2) on a thread of the pool: it may take seconds. The only asynchronous call through koffi,
// rare enough that its cost does not count; a thread of its own would cost 20 MiB.
import koffi from 'koffi';

interface AsyncNative {
  async(fd: number, done: (error: Error | null, result: number) => void): void;
}

const native = koffi.load('libc.so.6').func('int syncfs(int fd)') as unknown as AsyncNative;

/** Writes out the file system of `fd`; false when the kernel reports that something was lost. */
export async function syncFileSystem(fd: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    native.async(fd, (error, result) => {
      if (error === null || error === undefined) resolve(result === 0);
      else reject(error);
    });
  });
}
