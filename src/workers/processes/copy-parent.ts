/** The variable in which a send and a receive that copy a volume find the pid of their parent, the copy process. */
export const COPY_PARENT = "IMAGESTORE_COPY_PARENT";
