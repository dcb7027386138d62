#include "broker/sqlite/mailbox.h"

#include <stddef.h>

bool mailbox_open(struct mailbox *m)
{
    *m = (struct mailbox){0};
    pthread_mutex_init(&m->lock, NULL);
    return bell_open(&m->bell);
}

void mailbox_close(struct mailbox *m)
{
    bell_close(&m->bell);
    pthread_mutex_destroy(&m->lock);
}

int mailbox_fd(const struct mailbox *m)
{
    return m->bell.fd;
}

void mailbox_put(struct mailbox *m, struct mail *mail)
{
    mail->next = NULL;
    pthread_mutex_lock(&m->lock);
    if (m->last)
        m->last->next = mail;
    else
        m->first = mail;
    m->last = mail;
    bell_ring(&m->bell);
    pthread_mutex_unlock(&m->lock);
}

struct mail *mailbox_take(struct mailbox *m)
{
    struct mail *mail;

    pthread_mutex_lock(&m->lock);
    mail = m->first;
    if (mail) {
        m->first = mail->next;
        if (!m->first)
            m->last = NULL;
    } else {
        bell_hush(&m->bell);
    }
    pthread_mutex_unlock(&m->lock);
    return mail;
}
