/* Hide AVX-512, AVX-VNNI and AMX from every library of a Python process, as on an older CPU. docs/testing.md says how it is used.
 *
 * The kernel makes the cpuid instruction fault (arch_prctl, Linux 4.12 and newer, CPUs and hypervisors with cpuid_fault), and the handler
 * answers in its place, without the bits of those instructions. Leaves and bits: Intel SDM, volume 2A, CPUID.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(n) (1u << (n))

static struct sigaction theirs; /* what Python's faulthandler has asked for */
static int active;

static void pass_on(int number, siginfo_t *info, void *context)
{
    if (theirs.sa_flags & SA_SIGINFO)
        theirs.sa_sigaction(number, info, context);
    else if (theirs.sa_handler != SIG_DFL && theirs.sa_handler != SIG_IGN)
        theirs.sa_handler(number);
    else
        signal(number, SIG_DFL); /* the instruction is repeated, and ends the process */
}

static void answer(int number, siginfo_t *info, void *context)
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)registers[REG_RIP];
    if (info->si_code != SI_KERNEL || at[0] != 0x0f || at[1] != 0xa2) {
        pass_on(number, info, context);
        return;
    }
    unsigned leaf = registers[REG_RAX], sub = registers[REG_RCX], a, b, c, d;
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(sub));
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
    if (leaf == 7 && sub == 0) {
        b &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31));
        c &= ~(BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14));
        d &= ~(BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25));
    } else if (leaf == 7 && sub == 1) {
        a &= ~(BIT(4) | BIT(5) | BIT(21) | BIT(23));
        d &= ~(BIT(4) | BIT(5) | BIT(10) | BIT(19));
    }
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

/* The handler stays, whoever sets another: that one is kept for faults that are not ours. */
int sigaction(int number, const struct sigaction *new, struct sigaction *old)
{
    static int (*real)(int, const struct sigaction *, struct sigaction *);
    if (!real)
        real = dlsym(RTLD_NEXT, "sigaction");
    if (!active || number != SIGSEGV)
        return real(number, new, old);
    if (old)
        *old = theirs;
    if (new)
        theirs = *new;
    return 0;
}

__attribute__((constructor)) static void start(void)
{
    char program[4096] = "";
    struct sigaction ours = {.sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0 || !strstr(strrchr(program, '/'), "python"))
        return; /* browsers and compilers handle their signals themselves */
    sigaction(SIGSEGV, &ours, &theirs);
    if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) != 0) {
        fprintf(stderr, "no_avx512: this machine cannot intercept cpuid\n");
        _exit(70);
    }
    active = 1;
}
