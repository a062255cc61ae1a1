/* A C program that loads a Rust library with sward in it. Exit status: what the library says. */

#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **args) {
    void *library = count == 2 ? dlopen(args[1], RTLD_NOW) : NULL;
    int (*ask)(void) = library ? (int (*)(void))dlsym(library, "plugin_installs") : NULL;
    if (!ask) {
        fprintf(stderr, "%s\n", count == 2 ? dlerror() : "one library, please");
        return 2;
    }
    return ask();
}
